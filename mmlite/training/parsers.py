"""The parsers of the training commands, for who checks or completes arguments and runs nothing."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from mmlite.training.checks import check_files, problem
from mmlite.training.command import COMMANDS, MMLiteCLI


class _Unparsed(Exception):
    """Carries the parsers of the training commands before anything is parsed."""

    def __init__(self, parsers: dict[str, LightningArgumentParser]) -> None:
        super().__init__("not parsed")
        self.parsers = parsers


class _UnparsedCLI(MMLiteCLI):
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        raise _Unparsed({name: self._parser(name) for name in COMMANDS})


def training_parsers() -> dict[str, LightningArgumentParser]:
    """Return the parser of each training command."""
    parsers: dict[str, LightningArgumentParser] = {}
    try:
        _UnparsedCLI([])
    except _Unparsed as found:
        parsers = found.parsers
    return parsers


def check_arguments(parser: LightningArgumentParser, options: Sequence[str]) -> Namespace:
    """Parse the options of a training command; nothing is built or run.

    Args:
        parser: Of `training_parsers`.
        options: What follows the command.

    Returns:
        What was parsed.

    Raises:
        ArgumentProblem: If an option or a file is wrong.
    """
    check_files(options)
    try:
        return parser.parse_args(list(options))
    except ArgumentError as error:
        raise problem(error, parser, options) from error
