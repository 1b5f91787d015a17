"""The set of kinds a world asks, and what is done with a question whatever its kind."""

import random
from collections.abc import Iterable
from functools import cached_property

from mmlite.microworld.descriptions import read_clauses
from mmlite.microworld.knowledge import Knowledge, held_out, result_of
from mmlite.microworld.questions.base import GROUPS, Derivation, Kind, Question
from mmlite.microworld.questions.language import Arithmetic, FactOfTheWorld, KnowledgeKind
from mmlite.microworld.questions.reasoning import Compare, Hop, Largest, Sum
from mmlite.microworld.questions.vision import (
    Attribute,
    Count,
    Digit,
    Locate,
    Relation,
    Similar,
)
from mmlite.microworld.scene import Scene
from mmlite.records import content_key

Kinds = dict[str, Kind]


class Questions:
    """All kinds of questions, by name.

    Args:
        knowledge: The invented world of the language-heavy kinds.
        more_kinds: Kinds of your own, beside the built-in ones.
    """

    def __init__(
        self, knowledge: Knowledge | None = None, *, more_kinds: Iterable[Kind] = ()
    ) -> None:
        self.knowledge = knowledge or Knowledge()
        kinds = [
            *(Count(), Attribute(), Locate(), Relation(), Digit(), Similar()),
            *(Compare(), Sum(), Largest(), Hop()),
            *(FactOfTheWorld(self.knowledge), Arithmetic(self.knowledge)),
            *more_kinds,
        ]
        self.kinds: Kinds = {kind.name: kind for kind in kinds}

    @property
    def groups(self) -> dict[str, list[str]]:
        """Names of the kinds in each group."""
        return {
            group: [kind.name for kind in self.kinds.values() if kind.group == group]
            for group in GROUPS
        }

    def kind(self, name: str) -> Kind:
        """Return a kind by name."""
        if name not in self.kinds:
            raise ValueError(f"kind: got {name!r}, allowed: {', '.join(self.kinds)}")
        return self.kinds[name]

    def ask(self, question: Question) -> str:
        """Put a question into words."""
        return self.kinds[question.kind].ask(question.args)

    def extraction(self, question: Question, scene: Scene) -> str:
        """Write down the details of a scene that a question needs."""
        return self.kinds[question.kind].extraction(question.args, scene)

    def derive(self, question: Question, description: str) -> Derivation:
        """Derive the answer from any description.

        Where the description does not tell, the answer is a guess of the right type, which
        depends on the question and the description alone.
        """
        rng = random.Random(content_key(question.kind, list(question.args), description))
        clauses = read_clauses(description)
        return self.kinds[question.kind].derive(question.args, clauses, rng)

    def pick(
        self, kind: str, scene: Scene, rng: random.Random, *, held_out_knowledge: bool = False
    ) -> Question | None:
        """Draw a question of a kind that a scene allows, answers as even as the scene allows.

        Args:
            kind: Name of the kind.
            scene: What is asked about.
            rng: Decides.
            held_out_knowledge: Whether language-heavy questions come from the held-out half of
                the facts and sums, or from the other one.

        Returns:
            A question, or None when the scene allows none of this kind.
        """
        found = self.kind(kind)
        if isinstance(found, KnowledgeKind):
            return self._pick_knowledge(found, rng, held_out_knowledge)
        by_answer: dict[str, list[tuple[str, ...]]] = {}
        for args, answer in found.candidates(scene):
            by_answer.setdefault(answer, []).append(args)
        if not by_answer:
            return None
        answer = rng.choice(list(by_answer))
        return Question(kind, rng.choice(by_answer[answer]), answer)

    def may_answer(self, kind: str, answer: str) -> bool:
        """Whether any held-out question of a kind has an answer, as far as is known in advance."""
        if isinstance(found := self.kind(kind), FactOfTheWorld):
            return answer in self._held_out_facts
        return answer in self._sum_pools[True] if isinstance(found, Arithmetic) else True

    def pick_with_answer(
        self, kind: str, answer: str, scene: Scene, rng: random.Random
    ) -> Question | None:
        """Draw a held-out question of a kind with a given answer, or None if there is none."""
        found = self.kind(kind)
        if isinstance(found, FactOfTheWorld):
            pool = self._held_out_facts.get(answer, [])
        elif isinstance(found, Arithmetic):
            pool = self._sum_pools[True].get(answer, [])
        else:
            pool = [args for args, right in found.candidates(scene) if right == answer]
        return Question(kind, rng.choice(pool), answer) if pool else None

    def _pick_knowledge(
        self, kind: KnowledgeKind, rng: random.Random, held_out_knowledge: bool
    ) -> Question:
        if isinstance(kind, FactOfTheWorld):
            pool: list[tuple[str, ...]] = self._fact_pools[held_out_knowledge]
            args = rng.choice(pool)
            return Question(kind.name, args, self.knowledge.facts[args[0], args[1]])
        pools = self._sum_pools[held_out_knowledge]
        answer = rng.choice(list(pools))
        return Question(kind.name, rng.choice(pools[answer]), answer)

    @cached_property
    def _fact_pools(self) -> dict[bool, list[tuple[str, ...]]]:
        """Facts that training asks about pictures (False), and those it does not (True)."""
        pools: dict[bool, list[tuple[str, ...]]] = {False: [], True: []}
        for args in self.knowledge.facts:
            pools[held_out(args)].append(args)
        return pools

    @cached_property
    def _held_out_facts(self) -> dict[str, list[tuple[str, ...]]]:
        """Held-out facts by value."""
        by_value: dict[str, list[tuple[str, ...]]] = {}
        for args in self._fact_pools[True]:
            by_value.setdefault(self.knowledge.facts[args[0], args[1]], []).append(args)
        return by_value

    @cached_property
    def _sum_pools(self) -> dict[bool, dict[str, list[tuple[str, ...]]]]:
        """Sums by result, for both halves."""
        pools: dict[bool, dict[str, list[tuple[str, ...]]]] = {False: {}, True: {}}
        for args in self.knowledge.sums:
            pools[held_out(args)].setdefault(result_of(*args), []).append(args)
        return pools
