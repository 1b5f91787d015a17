"""Answers that are yes or no."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.reading import Answer, read_answer

_MEANING = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_WORD = "yes|no|true|false"
_FIRST = re.compile(rf"({_WORD})(?=\s*(?:$|[.,;:!]))")
_FIRST_OF_MARKED = re.compile(
    r"(yes|true|false)\b"
    r"|(no)\b(?!-|\s+(?:one|body|idea|answer|clue|way|doubt|evidence|information|matter|longer)\b)"
)
_LAST = re.compile(rf"\b({_WORD})$")
_BOTH = (
    re.compile(rf"\b({_WORD})\s*[/|]\s*({_WORD})\b"),
    re.compile(rf"\b({_WORD})[\s,-]+or[\s,-]+(?:\w+\s+)?({_WORD}|not)\b"),
    re.compile(rf"\b({_WORD})[\s,;&-]+(?:(?:and|nor|but)\s+(?:\w+\s+)?)?({_WORD})(?!\s*\w)"),
)
_OPPOSED = re.compile(
    r"\b(?:not|never|cannot|hardly|neither|nor|wrong|incorrect|unlikely|doubt|whether|if)\b"
    r"|n['\u2019]t\b"
)
_ENDS = " .,;:!\"'`*_()\u2018\u2019\u201c\u201d"


class YesNo(Task):
    """Yes or no, also written true or false.

    The word has to begin or end the answer; where both ends have one, they have to agree. A word
    that is denied (`I would not say yes`) or beside its opposite (`yes/no`) is no answer.

    The row `there is a red box.`, answered `yes`, becomes the prompt
    `there is a red box. answer.`:

    >>> row = Example(id="0", turns=(), question="there is a red box.", answers=("yes",))
    >>> YesNo().judge("True.", row)
    ('yes', 1.0)
    >>> YesNo().judge("Answer: No, there is none", row)
    ('no', 0.0)
    >>> YesNo().judge("Nothing is red", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "yes_no"

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the answers as `yes` or `no`."""
        golds = []
        for answer in self.answers(example):
            word = answer.strip(" .").lower()
            if word not in _MEANING:
                raise ValueError(
                    f"{example.row_name}: got answer {answer!r}, allowed: {', '.join(_MEANING)}; "
                    f"use task short_answer for other words"
                )
            golds.append(_MEANING[word])
        return tuple(golds)

    def parse(self, text: str, example: Example) -> str | None:
        """Return `yes` or `no`."""
        return read_answer(text, read=_read, bare=_bare)


def _bare(text: str) -> str | None:
    return _MEANING.get(text.lower().strip(_ENDS))


def _read(answer: Answer) -> str | None:
    text = answer.text.lower().strip(_ENDS)
    text = re.sub(r"\b(?:not|isn['\u2019]t)\s+(?:true|correct)\b", "false", text)
    text = re.sub(r"\b(?:not|isn['\u2019]t)\s+false\b", "true", text)
    both = [match.groups() for pattern in _BOTH for match in pattern.finditer(text)]
    if any(_MEANING[one] != _MEANING.get(other, "no") for one, other in both):
        return None
    first = (_FIRST_OF_MARKED if answer.marked else _FIRST).match(text)
    last = _LAST.search(text) if first or answer.marked or answer.one_sentence else None
    if last and _OPPOSED.search(re.split(r"[.,;:!?]", text[: last.start()])[-1]):
        last = None
    found = {_MEANING[match[match.lastindex or 0]] for match in (first, last) if match}
    return found.pop() if len(found) == 1 else None
