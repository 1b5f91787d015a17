"""What the files under experiments/ say of themselves, and their commands parsed."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlite.training.command import MMLiteCLI

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"
PARTS_OF_RUNS = {"parts", "overlays", "sizes"}
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # as the program itself does

KEYS = ("Q", "Paper", "Expect", "Run")


def run_files() -> list[Path]:
    """Return every run and study: all files but the base, parts, overlays and sizes."""
    files = sorted(EXPERIMENTS.rglob("*.yaml"))
    return [
        file
        for file in files
        if file.parent != EXPERIMENTS
        and not PARTS_OF_RUNS & set(file.relative_to(EXPERIMENTS).parts)
    ]


def headers(file: Path) -> dict[str, str]:
    """Return the keys of the comment that a file begins with."""
    comment = re.match(r"(?:#.*\n)+", file.read_text())
    lines = comment[0].splitlines() if comment else []
    return {match[1]: match[2] for line in lines if (match := re.fullmatch(r"# (\w+): (.+)", line))}


def command(file: Path) -> list[str]:
    """Return what follows `mmlite` in a file's own command."""
    program, *arguments = shlex.split(headers(file)["Run"])
    assert program == "mmlite"
    return arguments


class ParsingCLI(MMLiteCLI):
    """Parses everything and builds nothing, for what needs a device or data that is not here."""

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def parsed(arguments: Sequence[str]) -> Any:
    """Return the configuration of a command, checked as a run checks it; nothing is built."""
    cli = ParsingCLI(arguments)
    return cli.config[arguments[0]]


def built(arguments: Sequence[str], folder: Path) -> MMLiteCLI:
    """Build everything of a command, and run nothing."""
    return MMLiteCLI([*arguments[1:], "--run", str(folder)], run=False)
