"""Short answers in words, right if they equal a gold answer after normalisation."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.numerals import words_to_digits
from mmlite.tasks.reading import find_answer

_ARTICLES = re.compile(r"\b(?:a|an|the)\s+")
_END_PUNCTUATION = " \t\n.,;:!?\"'`*_()[]\u2018\u2019\u201c\u201d"


def normalize_answer(text: str) -> str:
    """Return the form in which short answers are compared.

    In this order: lower case; white space to single spaces; punctuation and quotes off both
    ends; the articles a, an and the before a word left out; number words (zero to ninety-nine)
    to digits. Nothing inside an answer changes otherwise: `top-left` stays one word.

    >>> normalize_answer(' "The  Red circle." '), normalize_answer("Three dogs")
    ('red circle', '3 dogs')
    """
    text = " ".join(text.lower().split()).strip(_END_PUNCTUATION)
    return words_to_digits(_ARTICLES.sub("", text)).strip(_END_PUNCTUATION)


class ShortAnswer(Task):
    """A word or a short phrase.

    A line that no `Answer:` introduces counts if it is one sentence: a derivation that was cut
    off before its answer is unreadable.

    The row `what color is at center?`, answered `red`, becomes the prompt
    `what color is at center? answer.`; both forms of answer read back as `red`:

    >>> row = Example(id="0", turns=(), question="what color is at center?", answers=("red",))
    >>> ShortAnswer().judge("center red. answer: red.", row)
    ('red', 1.0)
    >>> ShortAnswer().judge("Red", row)
    ('red', 1.0)
    >>> ShortAnswer().judge("top-left blue. center red.", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "short_answer"

    def gold(self, example: Example) -> str:
        """Return the first answer as the source gave it."""
        return self.answers(example)[0]

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return all answers, normalised."""
        return tuple(normalize_answer(answer) for answer in self.answers(example))

    def parse(self, text: str, example: Example) -> str | None:
        """Return the normalised answer."""
        answer = find_answer(text)
        if answer is None or not (answer.marked or answer.one_sentence):
            return None
        return normalize_answer(answer.text) or None
