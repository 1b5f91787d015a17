"""`mmlite report`: make a report again from saved predictions."""

import logging
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem

_log = logging.getLogger(__name__)


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite report", exit_on_error=False, allow_abbrev=False)
    made.add_argument("folder", type=str, help="A study's folder.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option is wrong.
        ValueError: If the folder holds no predictions.
    """
    options = parser()
    try:
        given = options.parse_args(list(arguments[1:]))
    except ArgumentError as error:
        known = Known(list(options.get_defaults().keys()))
        raise ArgumentProblem(explain(str(error), known)) from error
    from mmlite.analysis import make_report

    _log.info("Report: %s", make_report(Path(given.folder)))
