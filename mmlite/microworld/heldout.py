"""Held-out questions with balanced answers."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmlite.microworld.questions import Question, Questions
from mmlite.microworld.render import Picture
from mmlite.microworld.scene import Scene, Split, WorldConfig, draw_scene_of, scene_key

MAX_TRIES = 20_000
"""Scenes drawn for one wanted answer before the answer counts as out of reach."""


@dataclass(frozen=True)
class HeldOut:
    """What `draw_held_out` drew.

    Attributes:
        items: Pictures with a question each.
        unreachable: By kind, answers that no scene of this world allowed often enough.
    """

    items: tuple[tuple[Picture, Question], ...]
    unreachable: dict[str, tuple[str, ...]]


def draw_held_out(
    questions: Questions,
    split: Split,
    number_per_kind: int,
    *,
    seed: int = 0,
    config: WorldConfig = WorldConfig(),  # noqa: B008
) -> HeldOut:
    """Draw questions of every kind about scenes of a split, each answer equally often.

    Language-heavy questions come from the half of the facts and sums that training never asks
    about pictures.

    Args:
        questions: The kinds.
        split: Which scenes.
        number_per_kind: Questions per kind; answers differ in number by at most one.
        seed: Decides everything.
        config: Difficulty dials.
    """
    rng = random.Random(f"held out {split} {seed}")
    search = _Search(questions, split, rng, config)
    items: list[tuple[Picture, Question]] = []
    unreachable: dict[str, tuple[str, ...]] = {}
    for name in questions.kinds:
        drawn, without = _balanced(search, name, number_per_kind)
        items += [(Picture(scene, rng.getrandbits(32), config), q) for scene, q in drawn]
        if without:
            unreachable[name] = without
    return HeldOut(tuple(items), unreachable)


def _balanced(
    search: "_Search", kind: str, number: int
) -> tuple[list[tuple[Scene, Question]], tuple[str, ...]]:
    """Draw questions of a kind, and name the answers that had to be left out."""
    answers = list(search.questions.kinds[kind].answers)
    search.rng.shuffle(answers)
    counts: Counter[str] = Counter()
    drawn: list[tuple[Scene, Question]] = []
    without: list[str] = []
    while len(drawn) < number and answers:
        answer = min(answers, key=lambda answer: counts[answer])
        found = search.find(kind, answer)
        if found is None:
            answers.remove(answer)
            without.append(answer)
            drawn = [item for item in drawn if item[1].answer != answer]
        else:
            drawn.append(found)
            counts[answer] += 1
    return drawn, tuple(without)


class _Search:
    """The search for scenes that allow a wanted answer.

    The first search that fails has looked at `MAX_TRIES` scenes: what none of them allowed is
    given up at once from then on, so that a world without digits costs one long search only.
    """

    def __init__(
        self, questions: Questions, split: Split, rng: random.Random, config: WorldConfig
    ) -> None:
        self.questions = questions
        self.split: Split = split
        self.rng = rng
        self.config = config
        self.seen: set[tuple[str, str, tuple[str, ...]]] = set()
        self.allowed: dict[str, set[str]] = {}

    def find(self, kind: str, answer: str) -> tuple[Scene, Question] | None:
        """Return a question not returned before, or None when the answer is out of reach."""
        allowed = self.allowed.get(kind)
        if not self.questions.may_answer(kind, answer) or (
            allowed is not None and answer not in allowed
        ):
            return None
        tried: list[Scene] = []
        while len(tried) < MAX_TRIES:
            scene = draw_scene_of(self.split, self.rng, self.config)
            tried.append(scene)
            question = self.questions.pick_with_answer(kind, answer, scene, self.rng)
            if question is None:
                continue
            key = (kind, scene_key(scene), question.args)
            if key not in self.seen:
                self.seen.add(key)
                return scene, question
        if not self.allowed:
            self._learn_from(tried)
        return None

    def _learn_from(self, scenes: Sequence[Scene]) -> None:
        for name, kind in self.questions.kinds.items():
            if kind.group != "language":
                found = {answer for scene in scenes for _, answer in kind.candidates(scene)}
                self.allowed[name] = found
