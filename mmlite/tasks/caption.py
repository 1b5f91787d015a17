"""Captions: a description of the whole image, without a question."""

import re
from collections import Counter
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task


def token_f1(text: str, gold: str) -> float:
    """Return the F1 of the words of two texts, as bags: order is free, repetition counts.

    Words are runs of letters, digits and hyphens, in lower case. Two texts without words agree.

    >>> token_f1("a red star", "A star, red and large.")
    0.75
    """
    words, gold_words = (Counter(re.findall(r"[\w-]+", part.lower())) for part in (text, gold))
    shared = (words & gold_words).total()
    total = words.total() + gold_words.total()
    return 2 * shared / total if total else 1.0


class Caption(Task):
    """A caption, scored by the F1 of its words against the gold caption.

    The score is a cheap look at whether a captioner learns. Where scenes are known, facts
    found, missed and invented say more (`mmlite.microworld`).

    The row with caption `center red star.` becomes the prompt `describe.`:

    >>> row = Example(id="0", turns=(), caption="center red star.")
    >>> Caption().judge("center red circle.", row)
    ('center red circle.', 0.6666666666666666)
    """

    name: ClassVar[str] = "caption"

    def fields(self, example: Example) -> dict[str, str]:
        """Return nothing: captions answer no question."""
        return {}

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the gold caption."""
        if example.caption is None:
            raise ValueError(
                f"{example.row_name}: got no caption, allowed: a text for task caption; "
                f"give the row a caption or leave it out"
            )
        return (example.caption,)

    def parse(self, text: str, example: Example) -> str | None:
        """Return the text; nothing written is unreadable."""
        return text.strip() or None

    def score(self, parsed: str, example: Example) -> float:
        """Return the F1 of words."""
        return token_f1(parsed, self.gold(example))
