"""Importing large libraries in less time, and ending at once where that is interrupted."""

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def imported_for_good() -> Iterator[None]:
    """Look for no garbage while modules are imported, nor later among what they left.

    Python looks through all objects again and again while PyTorch, Lightning and transformers make
    a million that stay: a quarter of the time that importing them takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def ended_by_interrupt(message: str) -> Iterator[None]:
    """End the process at once where Ctrl-C is pressed, with status 130.

    While modules are imported an exception is caught by whatever library is half loaded, which then
    fails in a way of its own. Nothing has been written that could be left behind.

    Args:
        message: What is said of it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{message}\n".encode())
        os._exit(130)

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:  # ignored, as in the background
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
