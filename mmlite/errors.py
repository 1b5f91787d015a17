"""RowError: what is wrong with one row of data, and of which kind, so that a policy can tell."""

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

    @classmethod
    def at(cls, place: str, error: ValueError) -> Self:
        """Return an error with the place it happened at in front, of the same kind.

        Args:
            place: Names the row, such as its source and number.
            error: What went wrong there; one without a kind is of a malformed row.
        """
        return cls(f"{place}: {error}", getattr(error, "problem", "malformed"))
