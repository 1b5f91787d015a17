"""Functions in processes of their own, so that what one needs or breaks is its own.

A process is forked from this one, which has loaded the libraries: loading them anew would take
longer than many an arm. CUDA cannot go on in a forked process once it has begun in this one, so
nothing here may touch it; where a library did, processes are spawned instead.
"""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import get_context, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

LOG_FILE = "log.txt"
FAILURE_FILE = "failure.txt"
OUT_OF_MEMORY = "out of memory"
OUT_OF_TIME = "out of time"
GRACE_SECONDS = 10.0


def run_apart(
    function: Callable[..., object],
    *arguments: Any,
    folder: Path,
    seconds: float,
    method: str = "fork",
) -> str | None:
    """Call a function in a process of its own; return what went wrong, or None.

    Args:
        function: What to call; what it returns is lost.
        arguments: Its arguments.
        folder: Gets what the process writes; made.
        seconds: How long it may take; then it is ended, with every process it started.
        method: How the process starts: `fork` or `spawn`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failure = folder / FAILURE_FILE
    failure.unlink(missing_ok=True)
    process = get_context(method).Process(target=_guarded, args=(function, arguments, folder))  # pyright: ignore[reportAttributeAccessIssue]
    process.start()
    try:
        process.join(max(0.0, seconds))
        if process.is_alive():
            return OUT_OF_TIME
    finally:
        if process.is_alive():
            _end(process)
    if failure.exists():
        return failure.read_text()
    return None if process.exitcode == 0 else f"ended with exit code {process.exitcode}"


def _end(process: BaseProcess) -> None:
    """End a process and those it started."""
    assert process.pid is not None, "it was started"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it leads no group yet
        process.kill()
    process.join(GRACE_SECONDS)


def _guarded(function: Callable[..., object], arguments: tuple[Any, ...], folder: Path) -> None:
    """Call a function, its output and its failure written to files."""
    os.setsid()
    set_start_method("fork", force=True)  # of its own processes, however it was started itself
    with (folder / LOG_FILE).open("a") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        faulthandler.enable(log)
        started = time.perf_counter()
        try:
            function(*arguments)
        except BaseException as error:  # whatever it is, it ends this process alone
            traceback.print_exc()
            (folder / FAILURE_FILE).write_text(_told(error))
        log.write(f"{time.perf_counter() - started:.1f} s\n")


def _told(error: BaseException) -> str:
    """Return an error in a line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return OUT_OF_MEMORY
    return f"{type(error).__name__}: {text[:200]}"
