"""One readable message out of an error, however deep it was wrapped."""

import os
import traceback

MAX_LINES = 4
"""Most lines of an error that are shown."""

MAX_LINE_LENGTH = 600
"""Longest line of an error that is shown, in characters."""


def readable(error: BaseException) -> str:
    """Return what a user needs of an error.

    Args:
        error: What was raised.
    """
    if isinstance(error, OSError) and error.filename:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return f"{name}: {error.strerror or error}; check the path, its rights and the disk's room"
    text = str(error).strip() or type(error).__name__
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    shown = [
        line if len(line) <= MAX_LINE_LENGTH else f"{line[:MAX_LINE_LENGTH]}..." for line in lines
    ]
    if len(shown) > MAX_LINES:
        shown = [*shown[: MAX_LINES - 1], "... (MMLITE_DEBUG=1 shows everything)"]
    return "\n".join(shown)


def place(error: BaseException) -> str:
    """Say where an error was raised that names no key, as one of a class of one's own may.

    Args:
        error: What was raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    if not own:
        return ""
    return f" (at {own[-1].filename}:{own[-1].lineno}; MMLITE_DEBUG=1 shows how it came there)"
