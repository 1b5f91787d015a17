"""`mmlite study`: run a study file."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.explain import Known, explain
from mmlite.config.near import near_file
from mmlite.config.problem import ArgumentProblem
from mmlite.study.checks import seed_problem
from mmlite.study.jobs import is_done, plan
from mmlite.study.spec import StudySpec
from mmlite.training.board import tensorboard_command

_log = logging.getLogger(__name__)


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite study", exit_on_error=False, allow_abbrev=False)
    made.add_argument("file", type=str, help="A study file.")
    made.add_argument("--out", type=str, help="Folder everything is written to.")
    made.add_argument("--seeds", type=int, nargs="+", help="Seeds to run the study with.")
    made.add_argument("--workers", type=int, help="Single-threaded processes.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option or the study file is wrong.
        ValueError: If a job fails on bad input.
    """
    options = parser()
    try:
        given = options.parse_args(list(arguments[1:]))
    except ArgumentError as error:
        known = Known(list(options.get_defaults().keys()))
        raise ArgumentProblem(explain(str(error), known)) from error
    study = _read(given.file, given.seeds, given.workers)
    out = Path(given.out or Path("runs") / study.name)
    from mmlite.files import only_one
    from mmlite.study.pool import open_pool
    from mmlite.study.preflight import check_study
    from mmlite.study.runner import run_study

    if out.is_dir():
        with only_one(out, "study"):  # or refused at once, before anything is loaded
            pass
    left = [job for job in plan(study, out.resolve()) if not is_done(job, out)]
    with open_pool(study.workers) as pool:
        if left:
            _log.info("Study %s: reading its files ...", study.name)
            check_study(study, left, out, pool)
        report = run_study(study, out, pool, command=" ".join(["mmlite", *arguments]))
    _log.info("Report:      %s", report)
    _log.info("  open it:   python3 -m webbrowser %s", report.resolve().as_uri())
    _log.info("TensorBoard: %s", tensorboard_command(out))


def _read(file: str, seeds: list[int] | None, workers: int | None) -> StudySpec:
    """Read a study file; what was said on the command line wins.

    Raises:
        ArgumentProblem: If there is no such file, or something in it is wrong.
    """
    if not Path(file).is_file():
        raise ArgumentProblem(f"study: got {near_file(file)}")
    try:
        study = StudySpec.read(Path(file))
    except ValueError as error:
        raise ArgumentProblem(str(error)) from error
    if seeds:
        if wrong := seed_problem(seeds):
            raise ArgumentProblem(f"--seeds: {wrong}")
        study = replace(study, seeds=list(seeds))
    if workers is not None:
        if workers < 1:
            raise ArgumentProblem(f"--workers: got {workers}, allowed: 1 or more")
        study = replace(study, workers=workers)
    return study
