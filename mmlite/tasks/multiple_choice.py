"""Multiple choice: the answer is the letter of an option."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.reading import LETTERS, named_letters, only_letter, read_answer, read_letter
from mmlite.tasks.short_answer import normalize_answer

_LETTERED = re.compile(r"\(?([A-Za-z])(?:\s*[.):]\s*|\s+)(\S.*)")


class MultipleChoice(Task):
    r"""One of several options, named by its letter.

    A letter is read where it stands as one (`B`, `(b)`, `option B`, `B. blue`), and so is the
    text of exactly one option. The first letter of a word is not an answer, and nothing is
    guessed where none is found.

    A row becomes a prompt with its options as `{options}`, one a line, or as `{options_line}`:

    >>> row = Example(
    ...     id="0", turns=(), question="Which color?", choices=("red", "blue"), answers=("blue",)
    ... )
    >>> MultipleChoice().fields(row)["options"]
    'A. red\nB. blue'
    >>> MultipleChoice().gold(row)
    'B'
    >>> MultipleChoice().judge("It looks blue.\n**Answer: (b)**", row)
    ('B', 1.0)
    >>> MultipleChoice().judge("Based on the picture I cannot tell", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "multiple_choice"

    def fields(self, example: Example) -> dict[str, str]:
        """Return the question and its options."""
        lettered = list(zip(LETTERS, self.choices(example), strict=False))
        clauses = [f"{letter.lower()} {choice.rstrip('.')}." for letter, choice in lettered]
        return {
            "question": example.question,
            "options": "\n".join(f"{letter}. {choice}" for letter, choice in lettered),
            "options_line": " ".join(clauses),
        }

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the letters of all options that equal an answer."""
        choices = [normalize_answer(choice) for choice in self.choices(example)]
        right = {normalize_answer(answer) for answer in self.answers(example)}
        missing = right.difference(choices)
        if missing:
            raise ValueError(
                f"{example.row_name}: got answers {list(example.answers)}, allowed: one of its "
                f"choices {list(example.choices)}; correct the row or leave it out"
            )
        return tuple(
            letter for letter, choice in zip(LETTERS, choices, strict=False) if choice in right
        )

    def choices(self, example: Example) -> tuple[str, ...]:
        """Return the options of an example; it must have some."""
        if not 2 <= len(example.choices) <= len(LETTERS):
            raise ValueError(
                f"{example.row_name}: got {len(example.choices)} choices, "
                f"allowed: 2 to {len(LETTERS)}; give the row choices or use task short_answer"
            )
        return example.choices

    def parse(self, text: str, example: Example) -> str | None:
        """Return the letter in upper case."""
        choices = [normalize_answer(choice) for choice in self.choices(example)]
        number = len(choices)
        return read_answer(
            text,
            read=lambda answer: read_letter(answer, number) or _by_words(answer.text, choices),
            bare=lambda line: only_letter(line, number) or _by_words(line, choices),
            named=lambda text: (*named_letters(text, number), _by_words(text, choices)),
        )


def _by_words(text: str, choices: list[str]) -> str | None:
    """Return the letter of the one option that a text is, or that follows its letter."""
    words = normalize_answer(text)
    found = [letter for letter, choice in zip(LETTERS, choices, strict=False) if choice == words]
    if len(found) == 1:
        return found[0]
    lettered = _LETTERED.fullmatch(text)
    if lettered and lettered[1].upper() in LETTERS[: len(choices)]:
        letter = lettered[1].upper()
        if choices[LETTERS.index(letter)] == normalize_answer(lettered[2]):
            return letter
    return None
