"""Text of the micro-world: what its language models are pretrained on."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from mmlite.microworld.corruption import corrupt
from mmlite.microworld.descriptions import NOTHING, caption, full_description
from mmlite.microworld.questions import Question, Questions
from mmlite.microworld.scene import Scene, Split, WorldConfig, draw_scene_of

KIND_WEIGHTS: Mapping[str, float] = {
    "count": 1.5,
    "attribute": 0.7,
    "locate": 1.5,
    "relation": 2.0,
    "digit": 0.7,
    "similar": 1.5,
    "compare": 2.5,
    "sum": 1.0,
    "largest": 2.0,
    "hop": 2.0,
}
"""How often each kind is written about: the harder its derivation, the more often."""


MAX_SCENES, MAX_KINDS = 500, 20
"""Scenes, and draws of a kind for each, before the kinds count as impossible in a world."""


BY_SHAPE = 0.5
"""Share of full descriptions whose clauses name the shape first."""


@dataclass(frozen=True)
class CorpusMix:
    """Shares of the kinds of text.

    Attributes:
        language: Facts of the invented world and arithmetic, from 0 to 1.
        facts: Facts among those; the rest is arithmetic.
        look: Full description to extraction, among what is not language.
        direct: Description to answer without steps, among what is not language.
        gold: Derivations from the extraction the question needs.
        scene: Derivations from the full description.
        caption: Derivations from a caption. What is left is from an extraction with a mistake.
        kinds: Weight of each kind of question that is not language.
    """

    language: float = 0.25
    facts: float = 0.6
    look: float = 0.2
    direct: float = 0.125
    gold: float = 0.45
    scene: float = 0.2
    caption: float = 0.15
    kinds: dict[str, float] = field(default_factory=lambda: dict(KIND_WEIGHTS))

    def __post_init__(self) -> None:
        for name in ("language", "facts", "look", "direct", "gold", "scene", "caption"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"mix.{name}: got {getattr(self, name)}, allowed: 0 to 1")
        if min(self.kinds.values(), default=0) < 0 or not sum(self.kinds.values()):
            raise ValueError(
                f"mix.kinds: got {self.kinds}, allowed: weights of 0 or more, one above 0"
            )
        if self.look + self.direct > 1 or self.gold + self.scene + self.caption > 1:
            raise ValueError(
                f"mix: got look + direct = {self.look + self.direct} and gold + scene + caption = "
                f"{self.gold + self.scene + self.caption}, allowed: at most 1 each"
            )


@dataclass(frozen=True, slots=True)
class TextItem:
    """One item of text.

    Attributes:
        prompt: What the user says.
        text: What is learnt.
        mode: `look`, `think` or `answer`.
        kind: Kind of question.
        answer: The answer the text leads to.
    """

    prompt: str
    text: str
    mode: str
    kind: str
    answer: str


def text_item(
    questions: Questions,
    index: int,
    *,
    seed: int = 0,
    config: WorldConfig = WorldConfig(),  # noqa: B008
    mix: CorpusMix = CorpusMix(),
    split: Split = "train",
) -> TextItem:
    """Draw an item; equal arguments give equal items."""
    rng = random.Random(seed * 1_000_003 + index)
    scene = draw_scene_of(split, rng, config)
    if rng.random() < mix.language:
        return _language(questions, scene, rng, mix)
    scene, question = _pick(questions, scene, rng, config, mix, split)
    draw = rng.random()
    if draw < mix.look:
        extraction = questions.extraction(question, scene)
        described = full_description(scene, by_shape=rng.random() < BY_SHAPE)
        prompt = _prompt(described, questions.ask(question), "look")
        return TextItem(prompt, extraction, "look", question.kind, question.answer)
    description = _description(questions, question, scene, rng, mix)
    mode = "answer" if draw < mix.look + mix.direct else "think"
    return _derived(questions, question, description, mode)


def _pick(
    questions: Questions,
    scene: Scene,
    rng: random.Random,
    config: WorldConfig,
    mix: CorpusMix,
    split: Split,
) -> tuple[Scene, Question]:
    """Draw a question about a scene, or about another scene where it allows none of the kinds."""
    names, weights = tuple(mix.kinds), tuple(mix.kinds.values())
    for _ in range(MAX_SCENES):
        for _ in range(MAX_KINDS):
            question = questions.pick(rng.choices(names, weights)[0], scene, rng)
            if question is not None:
                return scene, question
        scene = draw_scene_of(split, rng, config)
    raise ValueError(
        f"mix.kinds: got {', '.join(names)}, none of which {MAX_SCENES} scenes of this world "
        "allow; give a weight to other kinds, or change the world's dials"
    )


def _language(questions: Questions, scene: Scene, rng: random.Random, mix: CorpusMix) -> TextItem:
    kind = "fact" if rng.random() < mix.facts else "arithmetic"
    question = questions.pick(kind, scene, rng, held_out_knowledge=rng.random() < 0.5)
    assert question is not None, "language-heavy questions fit every scene"
    describe = rng.choice(("", NOTHING, caption, full_description))
    description = describe if isinstance(describe, str) else describe(scene)
    return _derived(questions, question, description, rng.choice(("think", "answer")))


def _derived(questions: Questions, question: Question, description: str, mode: str) -> TextItem:
    derivation = questions.derive(question, description)
    text = derivation.text if mode == "think" else derivation.answer
    prompt = _prompt(description, questions.ask(question), mode)
    return TextItem(prompt, text, mode, question.kind, derivation.answer)


def _description(
    questions: Questions, question: Question, scene: Scene, rng: random.Random, mix: CorpusMix
) -> str:
    draw = rng.random()
    if draw < mix.gold:
        return questions.extraction(question, scene)
    if draw < mix.gold + mix.scene:
        return full_description(scene, by_shape=rng.random() < BY_SHAPE)
    if draw < mix.gold + mix.scene + mix.caption:
        return caption(scene)
    return corrupt(questions.extraction(question, scene), rng)


def _prompt(description: str, question: str, mode: str) -> str:
    return " ".join(part for part in (description, question, f"{mode}.") if part)
