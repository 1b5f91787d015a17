"""Running a study: what is left to do, on worker processes, and what it leaves behind."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mmlite.files import only_one
from mmlite.study import workers
from mmlite.study.interrupts import interruptible
from mmlite.study.jobs import (
    PREDICTIONS,
    SET_ASIDE,
    SHARED_ROWS,
    Job,
    is_done,
    is_reported,
    mark_reported,
    plan,
    predictions_file,
)
from mmlite.study.pool import Pool
from mmlite.study.spec import StudySpec
from mmlite.study.view import View

_log = logging.getLogger(__name__)

Made = TypeVar("Made")


def run_study(study: StudySpec, out: Path, pool: Pool, *, command: str = "") -> Path:
    """Run a study, or what is left of it, and write its report.

    Args:
        study: What to run.
        out: Where everything is written.
        pool: Of workers.
        command: As typed, for the report.

    Returns:
        The report.

    Raises:
        ValueError: If a job fails on bad input, which the message names, or if another process
            runs a study in the same folder.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with only_one(out, "study"):
        started = time.monotonic()
        jobs = plan(study, out)
        _bring_back_predictions(jobs, out)
        waiting = [job for job in jobs if not is_done(job, out)]
        told = (study.name, len(jobs), len(jobs) - len(waiting), study.workers, out)
        _log.info("Study %s: %d jobs, %d done already, %d processes; writing to %s", *told)
        _forget_predictions(jobs, waiting, out)
        report = out / "report.html"
        if waiting or not is_reported(study, jobs, out):
            with _rows_forgotten(out), View(jobs, waiting) as view, interruptible() as check:
                for _ in _scheduled(study, out, waiting, pool, view):
                    check()
                about = {"command": command, "seconds": time.monotonic() - started}
                view.console.print("Writing the report ...", highlight=False)
                view.start("report")
                made = pool.submit(workers.do_summary, study, out, jobs, about)
                report = _result(made, "report")
            mark_reported(study, jobs, out)
        return report


@contextmanager
def _rows_forgotten(out: Path) -> Iterator[None]:
    """Remove the rows that workers share afterwards, and before those of a study that was killed.

    Whatever they are made of may change until the study goes on.
    """
    shutil.rmtree(out / SHARED_ROWS, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(out / SHARED_ROWS, ignore_errors=True)


def _bring_back_predictions(jobs: Sequence[Job], out: Path) -> None:
    """Move predictions back that an earlier study of fewer sizes or seeds set aside."""
    for file in (predictions_file(job, out) for job in jobs if job.action == "answer"):
        aside = out / SET_ASIDE / file.name
        if aside.exists() and not file.exists():
            file.parent.mkdir(exist_ok=True)
            aside.replace(file)


def _forget_predictions(jobs: Sequence[Job], waiting: Sequence[Job], out: Path) -> None:
    """Remove predictions that will be made again, and set those aside that this study has not."""
    mine = {predictions_file(job, out) for job in jobs if job.action == "answer"}
    again = {predictions_file(job, out) for job in waiting if job.action == "answer"}
    for path in sorted((out / PREDICTIONS).glob("*.jsonl")):
        if path in again:
            _log.info("Removing %s: made again now", path.relative_to(out))
            path.unlink()
        elif path not in mine:
            _log.info("Setting %s aside in %s: not of this study", path.relative_to(out), SET_ASIDE)
            (out / SET_ASIDE).mkdir(exist_ok=True)
            path.replace(out / SET_ASIDE / path.name)


def _scheduled(
    study: StudySpec, out: Path, waiting: Sequence[Job], pool: Pool, view: View
) -> Iterator[int]:
    """Do jobs, as many at a time as there are workers; yield how many are left, now and then."""
    left = _by_priority(study, waiting)
    open_names = {job.name for job in waiting}
    running: dict[Future[None], Job] = {}
    is_loading = False
    while left or running:
        ready = [job for job in left if not open_names & set(job.after)]
        for job in ready[: study.workers - len(running)]:
            left.remove(job)
            running[pool.submit(workers.do_job, job, study, out)] = job
            view.start(job.name)
        if not left and len(running) < study.workers and not is_loading:
            is_loading = True
            pool.submit(workers.load_summary)
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        view.tell(pool.reports)
        for future in done:
            job = running.pop(future)
            _result(future, job.name)
            open_names.discard(job.name)
            view.finish(job.name)
        yield len(left) + len(running)


def _by_priority(study: StudySpec, waiting: Sequence[Job]) -> list[Job]:
    """Order jobs: what others wait for first, then large models, which take longest."""
    rank = {size: number for number, size in enumerate(study.sizes)}
    return sorted(waiting, key=lambda job: (-rank.get(job.size, len(rank)), job.seed))


def _result(future: "Future[Made]", name: str) -> Made:
    """Return what a worker made.

    Raises:
        ValueError: If it failed; the message names the job.
    """
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise ValueError(
            f"{name}: its process ended (out of memory, or killed); the same command goes on"
        ) from error
    if error is not None:
        raise ValueError(f"{name}: {error or type(error).__name__}") from error
    return future.result()
