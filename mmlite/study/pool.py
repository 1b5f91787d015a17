"""The pool of worker processes of a study."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any, TypeVar

from mmlite.study import workers
from mmlite.study.workers import Progress

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

HUGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
"""Lets glibc ask Linux for large pages, read when a process starts: a step of the micro-world's
largest model took 4 % less processor time, one of its smallest 7 %."""


Made = TypeVar("Made")


@dataclass(frozen=True)
class Pool:
    """The workers of a study and what they report to.

    Attributes:
        executor: Takes work; its processes start with it.
        reports: What workers tell.
        size: How many workers there are.
    """

    executor: ProcessPoolExecutor
    reports: "Queue[Progress]"
    size: int

    def submit(self, work: Callable[..., Made], *given: Any) -> "Future[Made]":
        """Give work to a worker; where a process has ended unasked, the future says so."""
        try:
            return self.executor.submit(work, *given)
        except BrokenProcessPool as error:
            broken: Future[Made] = Future()
            broken.set_exception(error)
            return broken


@contextmanager
def open_pool(size: int) -> Iterator[Pool]:
    """Open a pool of single-threaded processes; whatever they do ends with it.

    Args:
        size: How many.
    """
    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, HUGE_PAGES[0])}
    os.environ |= dict.fromkeys(THREAD_VARIABLES, "1")
    os.environ.setdefault(*HUGE_PAGES)
    context = multiprocessing.get_context("spawn")
    reports: Queue[Progress] = context.Queue()
    executor = ProcessPoolExecutor(
        size,
        mp_context=context,
        initializer=workers.start,
        initargs=(os.getpid(), reports),
    )
    try:
        yield Pool(executor, reports, size)
    finally:
        workers.end(executor)
        reports.cancel_join_thread()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
