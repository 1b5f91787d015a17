"""Two-alternative choice: the answer is first or second."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.reading import Answer, read_answer, read_letter
from mmlite.tasks.short_answer import normalize_answer

_MEANING = {
    **{"first": "first", "1st": "first", "a": "first", "1": "first"},
    **{"second": "second", "2nd": "second", "b": "second", "2": "second"},
}
_ORDINAL = re.compile(r"\b(first|1st|second|2nd)\b")
_ENDS_IN_ORDINAL = re.compile(r"\b(?:first|1st|second|2nd)(?:\s+\w+)?$")
_DENIED = re.compile(
    r"(?:\b(?:not|never|cannot|neither)\b|n['\u2019]t\b)[^.,;:]*\b(?:first|1st|second|2nd)\b"
    r"|\b(?:first|1st|second|2nd)(?:\s+\w+)?\s+is(?:n['\u2019]t|\s+(?:not|wrong|incorrect))\b"
)
_NUMBERED = re.compile(r"(?:image|picture|option|alternative|number)?\s*([12])")


class Alternative(Task):
    """The first or the second of two things, also written A or B, or 1 or 2.

    If the row has two choices, their words are read too. An unmarked line has to end in the
    word (`First, I look at ...` is no answer).

    The row `is the star more like the circle or the cross?`, answered `second`, becomes the
    prompt `is the star more like the circle or the cross? answer.`:

    >>> row = Example(id="0", turns=(), choices=("circle", "cross"), answers=("second",))
    >>> Alternative().judge("circle no 0. cross yes 1. answer: second", row)
    ('second', 1.0)
    >>> Alternative().judge("(A)", row)
    ('first', 0.0)
    >>> Alternative().judge("The first is like the second.", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "alternative"

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the answers as `first` or `second`."""
        golds = []
        for answer in self.answers(example):
            meaning = _meanings(example).get(normalize_answer(answer) or answer.lower())
            if meaning is None:
                raise ValueError(
                    f"{example.row_name}: got answer {answer!r}, allowed: "
                    f"{', '.join(_meanings(example))}; a two-alternative row has one of these"
                )
            golds.append(meaning)
        return tuple(golds)

    def parse(self, text: str, example: Example) -> str | None:
        """Return `first` or `second`."""
        meanings = _meanings(example)

        def bare(text: str) -> str | None:
            return meanings.get(normalize_answer(text))

        def read(answer: Answer) -> str | None:
            if not (answer.marked or answer.one_sentence):
                return None
            return bare(answer.text) or _read(answer)

        return read_answer(text, read=read, bare=bare)


def _meanings(example: Example) -> dict[str, str]:
    """Return every word that names one of the two; words of a choice come last."""
    if len(example.choices) != 2:
        return _MEANING
    words = [normalize_answer(choice) for choice in example.choices]
    named = zip(words, ("first", "second"), strict=True)
    return {**_MEANING, **{word: meaning for word, meaning in named if word not in _MEANING}}


def _read(answer: Answer) -> str | None:
    letter = read_letter(answer, 2)
    if letter:
        return _MEANING[letter.lower()]
    text = answer.text.lower().strip(" .,;:!()")
    numbered = _NUMBERED.fullmatch(text)
    if _DENIED.search(text):
        return None
    if not (numbered or answer.marked or _ENDS_IN_ORDINAL.search(text)):
        return None
    found = set(numbered.groups()) if numbered else set(_ORDINAL.findall(text))
    meanings = {_MEANING[word] for word in found}
    return meanings.pop() if len(meanings) == 1 else None
