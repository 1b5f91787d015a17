"""Ctrl-C is noticed even where Python forgets it."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from study.studies import small_study

from mmlite.study.interrupts import interruptible
from mmlite.study.runner import run_study
from mmlite.study.spec import StudySpec


@pytest.fixture(autouse=True)
def noticed() -> Iterator[None]:
    """Let Ctrl-C be noticed where the tests run in the background too, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Swallowing:
    """Is interrupted while it is destroyed, where Python prints an exception and goes on."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_was_forgotten_is_raised_later() -> None:
    with interruptible() as check:
        check()
        swallowing = Swallowing()
        del swallowing
        with pytest.raises(KeyboardInterrupt):
            check()


def test_an_interrupt_is_raised_at_once_and_the_handler_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_interrupt_stays_ignored() -> None:
    """As in a study that a script started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as check:
            signal.raise_signal(signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_which_get_no_signals_may_be_asked_too() -> None:
    done: list[bool] = []

    def work() -> None:
        with interruptible() as check:
            check()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


class Busy:
    """A pool whose workers never end, and during whose work Ctrl-C is pressed and forgotten."""

    reports: Queue[Any] = Queue()

    def submit(self, *job: Any) -> Future[None]:
        swallowing = Swallowing()
        del swallowing
        return Future()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_study_stops_at_a_forgotten_interrupt(tmp_path: Path) -> None:
    pool: Any = Busy()
    with pytest.raises(KeyboardInterrupt):
        run_study(StudySpec.read(small_study(tmp_path)), tmp_path / "out", pool)
