"""Ctrl-C, also where Python ignores it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Remember that Ctrl-C was pressed, in case nothing came of it.

    Python turns it into an exception wherever it happens to be; while it destroys an object, that
    exception is printed and forgotten, and a study would run on to its end.

    Yields:
        To be called now and then: raises KeyboardInterrupt if Ctrl-C has been pressed.
    """
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()  # which alone gets signals
    if not is_main or before is not signal.default_int_handler:  # ignored, as in the background
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
