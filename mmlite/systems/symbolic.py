"""Reading micro-world questions back from their words."""

import re

from mmlite.microworld import Kind, Question, Questions
from mmlite.records import Example

_PLACEHOLDERS = tuple(f"argument{letter}" for letter in "abcdefgh")
"""Stand for what a question is about; more than any kind asks about."""


class QuestionReader:
    """Finds what a question of the micro-world is about: the inverse of `Questions.ask`.

    Every kind, also one of your own, asks with one sentence that differs only in single words for
    what it is about. So a kind is asked once with placeholders, and the sentence becomes a pattern.

    Args:
        questions: The kinds.
    """

    def __init__(self, questions: Questions) -> None:
        self.patterns = {name: _pattern(kind) for name, kind in questions.kinds.items()}

    def read(self, example: Example) -> Question:
        """Return the question an Example asks.

        Raises:
            ValueError: If it is none of the micro-world's questions.
        """
        pattern = self.patterns.get(example.category)
        match = pattern.fullmatch(example.question.strip()) if pattern else None
        if match is None:
            raise ValueError(
                f"symbolic reasoner: {example.source} row {example.row} ({example.id}): got "
                f"{example.question!r} of category {example.category!r}, allowed: questions of the "
                f"micro-world, of category {', '.join(self.patterns)}; use another reasoner"
            )
        args = tuple(value for _, value in sorted(match.groupdict().items()))
        return Question(example.category, args, example.answers[0] if example.answers else "")


def _pattern(kind: Kind) -> re.Pattern[str]:
    asked = re.escape(kind.ask(_PLACEHOLDERS))
    for placeholder in _PLACEHOLDERS:
        # One word, named where it first stands and the same word wherever else it does.
        first, *others = asked.split(placeholder)
        if others:
            named = rf"(?P<{placeholder}>[\w-]+)"
            asked = first + named + rf"(?P={placeholder})".join(others)
    return re.compile(asked)
