"""What a kind of question is, and the question it makes."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mmlite.microworld.descriptions import Clause
from mmlite.microworld.scene import Scene

Group = Literal["vision", "reasoning", "language"]
GROUPS: tuple[Group, ...] = ("vision", "reasoning", "language")

Args = tuple[str, ...]
"""What a question is about: shapes, colors, places or words, in the order they are asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one scene.

    Attributes:
        kind: Name of its kind.
        args: What it is about.
        answer: The right answer.
    """

    kind: str
    args: Args
    answer: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """A step-by-step answer from a description.

    Attributes:
        steps: Clauses that lead to the answer; may be empty.
        answer: The answer; a guess of the right type when the description does not tell.
        known: Whether the description tells.
    """

    steps: str
    answer: str
    known: bool

    @property
    def text(self) -> str:
        """The whole derivation, ending in `answer: ...`."""
        return f"{self.steps} answer: {self.answer}" if self.steps else f"answer: {self.answer}"


class Kind(ABC):
    """A kind of question: how it is asked, answered, extracted and derived.

    Subclass it for a new kind, and hand it to `Questions` beside the built-in ones.
    """

    name: ClassVar[str]
    group: ClassVar[Group]
    task: ClassVar[str]
    """Name of the task that prompts for, parses and scores its answers."""
    answers: ClassVar[tuple[str, ...]]
    """All answers; held-out questions are balanced over them."""

    @abstractmethod
    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Return every question of this kind that a scene allows, with its answer."""

    @abstractmethod
    def ask(self, args: Args) -> str:
        """Put a question into words."""

    @abstractmethod
    def extraction(self, args: Args, scene: Scene) -> str:
        """Write down the details of a scene that the question needs."""

    @abstractmethod
    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Derive the answer from a description.

        Returns:
            The steps, and the answer or None when the description does not tell.
        """

    def derive(self, args: Args, clauses: Sequence[Clause], rng: random.Random) -> Derivation:
        """Derive the answer from a description, guessing one when it does not tell."""
        steps, answer = self.steps(args, clauses)
        return Derivation(
            steps=" ".join(steps),
            answer=rng.choice(self.answers) if answer is None else answer,
            known=answer is not None,
        )

    def options(self, question: Question, number: int, rng: random.Random) -> tuple[str, ...]:
        """Draw options of a multiple-choice phrasing, the right answer among them."""
        return draw_options(self.answers, question.answer, number, rng)


def draw_options(
    answers: Iterable[str], right: str, number: int, rng: random.Random
) -> tuple[str, ...]:
    """Draw options of a multiple-choice phrasing.

    Args:
        answers: Where wrong options are drawn from.
        right: The right answer, which is among the options at a random place.
        number: Options at most.
        rng: Decides.
    """
    others = [answer for answer in answers if answer != right]
    drawn = rng.sample(others, min(number - 1, len(others)))
    drawn.insert(rng.randrange(len(drawn) + 1), right)
    return tuple(drawn)


def unknown(word: str) -> str:
    """Return the step that says that a description does not tell of something."""
    return f"{word} unknown."
