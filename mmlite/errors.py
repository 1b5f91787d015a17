"""Errors of bad rows, by kind, and of a stopped run; which file a full disk did not take."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

RowProblem = Literal[
    "unreadable_image",
    "oversized_image",
    "wrong_placeholders",
    "wrong_turns",
    "empty_answer",
    "too_long",
    "malformed",
]
"""Kinds of bad rows; `malformed` is whatever has no kind of its own."""


class RowError(ValueError):
    """One row cannot be used; the message names it and says why.

    Args:
        message: What was given, what is allowed, what to do.
        problem: Of which kind it is.
    """

    def __init__(self, message: str, problem: RowProblem = "malformed") -> None:
        super().__init__(message)
        self.problem = problem
        self.place = ""
        """What the message names first, the row; empty if whoever reads the row has yet to."""

    @classmethod
    def at(cls, place: str, error: ValueError) -> Self:
        """Return an error with the place it happened at in front, once, of the same kind.

        Args:
            place: Names the row, such as its source and number.
            error: What went wrong there; one without a kind is of a malformed row.
        """
        text = str(error)
        told = text if text.startswith((f"{place}:", f"{place} (")) else f"{place}: {text}"
        found = cls(told, getattr(error, "problem", "malformed"))
        found.place = place
        return found


class Stopped(Exception):
    """SIGTERM ended a run that was not done; the message, if any, says how it goes on."""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Let a full disk name the file, or the folder, that could not be written.

    What is raised by a write knows no name; libraries raise errors of their own for it.

    Args:
        path: What is written; an inner `writing` comes first.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise
    except Exception as error:
        if f"os error {errno.ENOSPC}" not in str(error):
            raise
        raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
