"""Worker processes: how they start, tell how far they are, and end when the study is killed.

Nothing heavy is imported here, for the study's own process imports it too; a worker loads PyTorch
with `check` or its first job.
"""

import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlite.study.jobs import Job
from mmlite.study.spec import StudySpec

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Progress = tuple[str, int, int]
"""A job's name, how far it is, and how far it goes."""

SECONDS_BETWEEN_LOOKS = 0.2
"""How soon a worker notices that the study was killed."""

_inherited: dict[str, "Queue[Progress]"] = {}
"""The worker's end of the queue of reports: only what a process starts with may carry one over."""


def start(parent: int, reports: "Queue[Progress]") -> None:
    """Prepare a worker process.

    Args:
        parent: Process id of the study.
        reports: Takes what `do_job` tells.
    """
    # Ctrl-C reaches every process of a terminal; Lightning would take it as "finish early".
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _inherited["reports"] = reports
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


@contextmanager
def _errors_that_travel() -> Iterator[None]:
    """Let errors reach the study's process: one that cannot be pickled would break the pool."""
    try:
        yield
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        raise


def check(
    study: StudySpec, jobs: Sequence[Job], out: Path, has_evaluation: bool
) -> dict[str, Collection[str]]:
    """Import what jobs need, in a worker, and read the files of some of them.

    Args:
        study: The study.
        jobs: Those that train whose files are read.
        out: The study's folder.
        has_evaluation: Whether what the evaluation names is checked too.

    Returns:
        By run, the parts that it leaves.

    Raises:
        ArgumentProblem: If something is wrong in them.
    """
    from mmlite.training.imports import imported_for_good

    with _errors_that_travel():
        with imported_for_good():
            import mmlite.study.work  # noqa: F401
        from mmlite.study.preflight import check_evaluation, check_runs

        if has_evaluation:
            check_evaluation(study)
        return check_runs(study, jobs, out)


def load_summary() -> None:
    """Import what the report needs, in a worker that has nothing else to do."""
    import matplotlib.backends.backend_agg  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import mmlite.study.summary  # noqa: F401


def do_job(job: Job, study: StudySpec, out: Path) -> None:
    """Do one job, in a worker."""
    from mmlite.study.work import do

    reports = _inherited["reports"]
    with _errors_that_travel():
        do(job, study, out, lambda name, done, total: reports.put((name, done, total)))


def do_summary(study: StudySpec, out: Path, jobs: list[Job], about: dict[str, Any]) -> Path:
    """Write tables, plots and the report, in a worker."""
    from mmlite.study.summary import summarise

    with _errors_that_travel():
        return summarise(study, out, jobs, command=about["command"], seconds=about["seconds"])


def end(pool: "ProcessPoolExecutor") -> None:
    """End a pool at once.

    Killed, not asked: Lightning answers a request by ending training early, as if it were done.
    """
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
