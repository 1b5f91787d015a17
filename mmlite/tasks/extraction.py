"""Extractions: the details of the image that a question needs."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task


def clauses_of(text: str) -> frozenset[str]:
    """Return the clauses of a text: what stands between full stops, semicolons or line ends.

    Case, white space, order and repetition do not count. A full stop inside a number is none.

    >>> sorted(clauses_of("Circle 2.5.  star red. star red"))
    ['circle 2.5', 'star red']
    """
    parts = re.split(r"\.(?=\s|$)|[;\n]", text.lower())
    return frozenset(clause for part in parts if (clause := " ".join(part.split())))


def clause_f1(text: str, gold: str) -> float:
    """Return the F1 of the clauses of two texts; clauses are equal or not."""
    clauses, gold_clauses = clauses_of(text), clauses_of(gold)
    total = len(clauses) + len(gold_clauses)
    return 2 * len(clauses & gold_clauses) / total if total else 1.0


class Extraction(Task):
    """Question-relevant details, scored by the F1 of clauses against the gold extraction.

    Where scenes are known, facts found, missed and invented say more (`mmlite.microworld`).

    The row `where is the star?` with extraction `star center.` becomes the prompt
    `where is the star? look.`:

    >>> row = Example(id="0", turns=(), question="where is the star?", extraction="star center.")
    >>> Extraction().judge("star center. circle top-left.", row)
    ('star center. circle top-left.', 0.6666666666666666)
    """

    name: ClassVar[str] = "extraction"

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the gold extraction."""
        if example.extraction is None:
            raise ValueError(
                f"{example.row_name}: got no extraction, allowed: a text for task extraction; "
                f"give the row an extraction or leave it out"
            )
        return (example.extraction,)

    def parse(self, text: str, example: Example) -> str | None:
        """Return the text; nothing written is unreadable."""
        return text.strip() or None

    def score(self, parsed: str, example: Example) -> float:
        """Return the F1 of clauses."""
        return clause_f1(parsed, self.gold(example))
