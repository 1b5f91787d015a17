"""`mmlite completion`: a script that completes commands and their options in a shell."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from mmlite.config.problem import ArgumentProblem

SHELLS = ("bash", "zsh", "tcsh")

FILE_OPTIONS = ("config", "ckpt_path", "world", "preview")
FOLDER_OPTIONS = ("run", "out", "export")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If the shell is unknown, or shtab is not installed.
    """
    given = list(arguments[1:])
    if len(given) != 1 or given[0] not in SHELLS:
        got = " ".join(given) or "nothing"
        raise ArgumentProblem(f"completion: got {got}, allowed: one of {', '.join(SHELLS)}")
    if importlib.util.find_spec("shtab") is None:
        raise ArgumentProblem(
            "completion: needs shtab, which is not installed; "
            "run: pip install 'mmlite[completion]', then the same command again"
        )
    sys.stdout.write(script(given[0]) + "\n")


def script(shell: str) -> str:
    """Return the completion script for a shell.

    The parser that runs knows every argument of every class, which makes a script of many
    megabytes; here are the commands, the options they share, and those of the trainer.

    Args:
        shell: One of `SHELLS`.
    """
    import shtab

    from mmlite.cli import exports, merging, plans, reports, studies, synthesis, worlds
    from mmlite.cli.main import COMMANDS
    from mmlite.training.parsers import training_parsers

    parsers: dict[str, ArgumentParser] = {
        **training_parsers(),
        "study": studies.parser(),
        "synthesize": synthesis.parser(),
        "report": reports.parser(),
        "world": worlds.parser(),
        "export": exports.parser(),
        "merge": merging.parser(),
        "plan": plans.parser(),
    }
    whole = argparse.ArgumentParser(prog="mmlite", description="Small vision-language models.")
    commands = whole.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        made = commands.add_parser(name, help=command.summary)
        if name == "completion":
            made.add_argument("shell", choices=SHELLS)
        else:
            _add_options(made, parsers[name])
    return shtab.complete(whole, shell=shell)


def _add_options(made: argparse.ArgumentParser, parser: ArgumentParser) -> None:
    import shtab

    for key in parser.get_defaults(skip_validation=True).keys():  # noqa: SIM118 - no mapping
        flags = ["-c", "--config"] if key == "config" else [f"--{key}"]
        positional = key in ("file", "folder")
        option = made.add_argument(*([key] if positional else flags))
        if key in (*FILE_OPTIONS, "file"):
            option.complete = shtab.FILE  # type: ignore[attr-defined]
        elif key in (*FOLDER_OPTIONS, "folder"):
            option.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
