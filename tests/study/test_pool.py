"""The pool of workers of a study."""

import os
import signal
import time

import pytest

from mmlite.config.problem import ArgumentProblem
from mmlite.study import workers
from mmlite.study.pool import open_pool


def processes(pool) -> list[int]:
    return list(pool.executor._processes)


def test_each_piece_of_work_starts_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GLIBC_TUNABLES"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back afterwards
    with open_pool(3) as pool:
        assert not processes(pool)
        for _ in range(pool.size):
            pool.submit(time.sleep, 0.1)
        assert len(processes(pool)) == 3
        assert pool.submit(os.getpid).result() in processes(pool)
        for number in processes(pool):
            os.kill(number, signal.SIGKILL)
        limit = time.monotonic() + 60
        while not (error := pool.submit(os.getpid).exception()):  # told, and not raised at once
            assert time.monotonic() < limit
        assert type(error).__name__ == "BrokenProcessPool"


class Unpicklable(Exception):
    def __init__(self, reason: str, more: int) -> None:
        super().__init__(reason)
        self.more = more


def test_what_cannot_be_pickled_reaches_the_study_by_its_words() -> None:
    with (
        pytest.raises(ValueError, match="Unpicklable: the real reason"),
        workers._errors_that_travel(),
    ):
        raise Unpicklable("the real reason", 1)
    with pytest.raises(ArgumentProblem, match="a wrong key"), workers._errors_that_travel():
        raise ArgumentProblem("a wrong key")
