"""`mmlite synthesize`: make visual-extraction-tuning data with teachers."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.synthesis.spec import KEYS, SynthesisSpec
from mmlite.training.noise import quieten

if TYPE_CHECKING:
    from mmlite.synthesis.runner import Synthesis

_log = logging.getLogger(__name__)


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite synthesize", exit_on_error=False, allow_abbrev=False)
    made.add_argument("file", type=str, nargs="?", help="A synthesis file.")
    made.add_argument("--out", type=str, help="Folder everything is written to.")
    made.add_argument("--limit", type=int, help="Use the first so many rows.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option or the synthesis file is wrong.
        ValueError: If a model cannot be loaded, or too many rows are bad.
    """
    options = parser()
    rest, changes = _changes(arguments[1:])
    try:
        given = options.parse_args(rest)
    except ArgumentError as error:
        known = Known([*options.get_defaults().keys(), *KEYS])
        raise ArgumentProblem(explain(str(error), known)) from error
    if not given.file:
        raise ArgumentProblem(
            "synthesize: got no file, allowed: a synthesis file, such as "
            "experiments/paper/synthesis.yaml"
        )
    try:
        spec = SynthesisSpec.read(Path(given.file), changes)
    except ValueError as error:
        raise ArgumentProblem(str(error)) from error
    out = Path(given.out or Path("runs") / spec.name)
    if out.exists() and not out.is_dir():
        raise ArgumentProblem(f"--out: got {str(out)!r}, which is a file, allowed: a folder")
    _log.info("Synthesis %s: reading its source ...", spec.name)
    from mmlite.synthesis.runner import Synthesis

    quieten()
    try:
        synthesis = Synthesis(spec, out)
    except ValueError as error:
        raise ArgumentProblem(f"synthesize {given.file}: {error}") from error
    summary = _make(synthesis)
    told = "".join(f"; {kind} {number}" for kind, number in summary["left_out"].items())
    _log.info("Records:   %d of %d rows%s", summary["records"], summary["rows"], told)
    _log.info("Data:      %s", out / "extraction.jsonl")
    _log.info("Data card: %s", out / "README.md")


def _changes(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take keys of the file out of a command line: `--KEY VALUE` or `--KEY=VALUE`.

    Raises:
        ArgumentProblem: If one has no value.
    """
    rest: list[str] = []
    changes: dict[str, Any] = {}
    words = iter(arguments)
    for word in words:
        key, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or key.split(".")[0] not in KEYS:
            rest.append(word)
            continue
        if not equals and (text := next(words, "--")).startswith("--"):
            raise ArgumentProblem(f"--{key}: got no value, allowed: one value; write --{key} VALUE")
        try:
            changes[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ArgumentProblem(f"--{key}: got {text!r}, which is no YAML; quote it") from error
    return rest, changes


def _make(synthesis: "Synthesis") -> Mapping[str, Any]:
    """Run a synthesis with a progress bar, and return its summary."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[far]}"))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, far="")

        def told(step: str, done: int, total: int) -> None:
            far = f"{done}/{total} rows"
            bar.update(task, description=step, completed=done, total=total, far=far)

        if not synthesis.run(told):
            _log.info("Nothing to do: the data is there already")
    return synthesis.summary()
