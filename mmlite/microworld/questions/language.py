"""Language-heavy kinds: the picture does not help; the answer was learnt from text."""

import random
from collections.abc import Iterable, Sequence

from mmlite.microworld.descriptions import NOTHING, Clause
from mmlite.microworld.knowledge import THINGS, Knowledge, result_of
from mmlite.microworld.questions.base import Args, Kind, Question, draw_options
from mmlite.microworld.scene import Scene


class KnowledgeKind(Kind):
    """A kind whose answers come from knowledge.

    Args:
        knowledge: The invented world.
    """

    group = "language"

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge

    def extraction(self, args: Args, scene: Scene) -> str:
        """Nothing in the picture matters."""
        return NOTHING


class FactOfTheWorld(KnowledgeKind):
    """A fact about a being of the invented world."""

    name, task = "fact", "short_answer"
    answers = tuple(thing for things in THINGS.values() for thing in things)

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Every fact, whatever the scene."""
        return self.knowledge.facts.items()

    def ask(self, args: Args) -> str:
        """Ask what a being eats, fears, makes or owns."""
        return f"what does {args[0]} {args[1]}?"

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """The answer is known or not; there is nothing to derive."""
        return [], self.knowledge.facts[args[0], args[1]]

    def options(self, question: Question, number: int, rng: random.Random) -> tuple[str, ...]:
        """Draw options among the things that fit the relation."""
        return draw_options(THINGS[question.args[1]], question.answer, number, rng)


class Arithmetic(KnowledgeKind):
    """A sum or a difference, given in words."""

    name, task = "arithmetic", "number"
    answers = tuple(str(number) for number in range(19))

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Every sum, whatever the scene."""
        return [(args, result_of(*args)) for args in self.knowledge.sums]

    def ask(self, args: Args) -> str:
        """Ask for the result."""
        return f"what is {args[0]} {args[1]} {args[2]}?"

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """The result, at once."""
        return [], result_of(args[0], args[1], args[2])
