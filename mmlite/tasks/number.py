"""Answers that are one number, in digits or in words."""

from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.numerals import only_number, stated_number
from mmlite.tasks.reading import Answer, read_answer

_END_PUNCTUATION = " .,;!\"'\u2019\u201d"


class Number(Task):
    """A whole or decimal number.

    After `Answer:` there may be words around the number (`3 cats`), and of an equation the
    right side counts. An unmarked line has to be the number alone. Two numbers are unreadable,
    and so is one that other words make another one (`2 million`, `not 5`).

    The row `how many shapes are red?`, answered `2`, becomes the prompt
    `how many shapes are red? think.`:

    >>> row = Example(id="0", turns=(), question="how many shapes are red?", answers=("2",))
    >>> Number().judge("center red red yes 1. top-left red red yes 2. answer: 2", row)
    ('2', 1.0)
    >>> Number().judge("**Answer:** Two shapes.", row)
    ('2', 1.0)
    >>> Number().judge("center red red yes 1.", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "number"

    def gold(self, example: Example) -> str:
        """Return the first answer as the source gave it."""
        self.golds(example)
        return self.answers(example)[0]

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return all answers in one spelling."""
        golds = []
        for answer in self.answers(example):
            number = only_number(answer)
            if number is None:
                raise ValueError(
                    f"{example.row_name}: got answer {answer!r}, allowed: a number such as "
                    f"7, 2.5 or seven; use task short_answer for words"
                )
            golds.append(number)
        return tuple(golds)

    def parse(self, text: str, example: Example) -> str | None:
        """Return the number in one spelling: `007`, `7.0` and `seven` are `7`."""
        return read_answer(text, read=_read, bare=_bare)


def _bare(text: str) -> str | None:
    return only_number(text.rstrip(_END_PUNCTUATION))


def _read(answer: Answer) -> str | None:
    number = _bare(answer.text)
    return stated_number(answer.text) if number is None and answer.marked else number
