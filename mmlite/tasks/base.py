"""What a task is: how one kind of answer is asked for, read back and scored. Text only."""

from abc import ABC, abstractmethod
from typing import ClassVar

from mmlite.errors import RowError
from mmlite.records import Example


class Task(ABC):
    """One kind of answer: prompt fields, the text to learn, parse and score.

    Subclass it for an answer of your own, and give its class path wherever a task is named. It is
    made without arguments.
    Say `name` and `parse`, and what differs of `fields`, `gold`, `golds` and `score`.

    `parse` returns None for an unreadable answer, which tables count by itself: it is never a
    guess, and never silently a wrong answer.
    """

    name: ClassVar[str]

    def fields(self, example: Example) -> dict[str, str]:
        """Return what prompts of this task may name in braces."""
        return {"question": example.question}

    def gold(self, example: Example) -> str:
        """Return the answer text that a stage learns to write."""
        return self.golds(example)[0]

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return all right answers, in the form in which `parse` returns answers."""
        return self.answers(example)

    @abstractmethod
    def parse(self, text: str, example: Example) -> str | None:
        """Read the answer from what a model wrote; None if there is no readable one."""

    def score(self, parsed: str, example: Example) -> float:
        """Return how right a readable answer is, from 0 to 1."""
        return float(parsed in self.golds(example))

    def judge(self, text: str, example: Example) -> tuple[str | None, float]:
        """Parse and score what a model wrote.

        Returns:
            The answer, or None if unreadable, and its score; 0 for an unreadable one.
        """
        parsed = self.parse(text, example)
        return parsed, 0.0 if parsed is None else self.score(parsed, example)

    def answers(self, example: Example) -> tuple[str, ...]:
        """Return the answers of an example as its source gave them; it must have some."""
        if not example.answers:
            raise RowError(
                f"{example.row_name}: got no answer, allowed: one or more for task {self.name}; "
                f"give the row an answer or leave it out",
                "empty_answer",
            )
        return example.answers
