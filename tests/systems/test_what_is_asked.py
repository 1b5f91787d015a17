"""Perceivers, reasoners and systems: what they ask, what they may see, and what they record."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pytest
import torch
from tiny import tiny_language, tiny_projector

from mmlite.generation import Decoding, Engine, Request
from mmlite.images import ImageTransform
from mmlite.microworld import (
    Knowledge,
    Picture,
    Questions,
    Scene,
    WorldConfig,
    caption,
    draw_scene,
    full_description,
    world_example,
)
from mmlite.models import TimmVision, VisionLanguageModel
from mmlite.processor import Processor
from mmlite.prompts import load_prompts
from mmlite.records import Example, ImageRef
from mmlite.systems import (
    BlindPerceiver,
    EndToEnd,
    ModelPerceiver,
    ModelReasoner,
    OraclePerceiver,
    PerceptionStore,
    QuestionReader,
    StoredEngine,
    SymbolicReasoner,
    TwoStage,
    system_name,
)
from mmlite.tokenizers import micro_tokenizer

QUESTIONS = Questions(Knowledge())
PROMPTS = load_prompts("micro")
DECODING = Decoding(max_new_tokens=6)


def world_examples(kinds: Sequence[str], number: int = 1) -> list[Example]:
    rng = random.Random(0)
    config = WorldConfig(min_objects=4, digit_fraction=1.0)
    examples = []
    for kind in kinds:
        made = 0
        while made < number:
            picture = Picture(draw_scene(rng, config), rng.getrandbits(32), config)
            question = QUESTIONS.pick(kind, picture.scene, rng)
            if question is not None:
                row = len(examples)
                examples.append(
                    world_example(picture, question, QUESTIONS, source="world", row=row)
                )
                made += 1
    return examples


@pytest.fixture(scope="module")
def engine() -> "Recording":
    torch.manual_seed(0)
    image = ImageTransform(size_px=16)
    processor = Processor(micro_tokenizer(), image=image, tokens_per_tile=4)
    size = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2}
    kind = {"class_token": False, "global_pool": ""}
    vision = TimmVision("vit_tiny_patch16_224", model_args={**size, **kind})
    language = tiny_language(processor.vocabulary_size)
    projector = tiny_projector(vision.dim, language.dim)
    image_token_id = processor.image_token_id
    model = VisionLanguageModel(language, vision, projector, image_token_id=image_token_id)
    with torch.no_grad():  # so that texts differ from prompt to prompt
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    return Recording(Engine(model.eval(), processor), fingerprint="w", store=PerceptionStore())


class Recording(StoredEngine):
    """Keeps what was last asked."""

    asked: list[Request]

    def write(self, requests, decoding, **arguments):
        self.asked = list(requests)
        return super().write(requests, decoding, **arguments)


def asked_of(engine: "Recording") -> list[tuple[str, tuple[ImageRef, ...]]]:
    return [(request.turns[0].text, request.images) for request in engine.asked]


def test_an_extractor_is_asked_about_the_question_and_a_captioner_is_not(engine: "Recording"):
    example, other = world_examples(["count", "digit"])
    other = replace(other, images=example.images)
    kinds: tuple[Literal["extract", "caption"], ...] = ("extract", "caption")
    looks = [f"<image>{example.question} look.", f"<image>{other.question} look."]
    for name, texts in zip(kinds, (looks, ["<image>describe."] * 2), strict=True):
        perceiver = ModelPerceiver(engine, PROMPTS, name=name, size="a", decoding=DECODING)
        written = perceiver.perceive([example, other])
        assert asked_of(engine) == [(text, example.images) for text in texts]
        assert (perceiver.name, perceiver.size) == (name, "a")
        assert (written[0] == written[1]) == (name == "caption")
        keys = {engine.key(request, DECODING) for request in engine.asked}
        assert len(keys) == (1 if name == "caption" else 2)


def test_a_reasoner_is_given_text_alone_in_its_mode(engine: "Recording"):
    (example,) = world_examples(["count"])
    names: tuple[Literal["think", "answer"], ...] = ("think", "answer")
    for name in names:
        reasoner = ModelReasoner(engine, PROMPTS, name=name, size="b", decoding=DECODING)
        reasoner.reason([example], ["center red circle."])
        prompt = f"center red circle. {example.question} {name}."
        assert asked_of(engine) == [(prompt, ())]
        reasoner.reason([example], [""])
        assert asked_of(engine) == [(f"{example.question} {name}.", ())]


def test_end_to_end_sees_the_image_and_blind_does_not(engine: "Recording"):
    (example,) = world_examples(["count"])
    seeing = EndToEnd(engine, PROMPTS, size="c", decoding=DECODING)
    (prediction,) = seeing.answer([example], seed=3)
    assert asked_of(engine) == [(f"<image>{example.question} answer.", example.images)]
    assert (prediction.system, prediction.seed) == ("end_to_end", 3)
    assert (prediction.perceiver, prediction.perceiver_size) == ("end_to_end", "c")
    assert (prediction.reasoner, prediction.reasoner_size) == ("end_to_end", "c")
    assert prediction.extraction is None
    assert prediction.facts is None
    blind = EndToEnd(engine, PROMPTS, size="c", decoding=DECODING, images=False)
    (prediction,) = blind.answer([example])
    assert asked_of(engine) == [(f"{example.question} answer.", ())]
    assert prediction.system == "end_to_end_blind"


def test_multiple_choice_is_asked_with_its_options(engine: "Recording"):
    (example,) = world_examples(["attribute"])
    example = replace(example, task="multiple_choice", choices=("red", "blue"), answers=("red",))
    EndToEnd(engine, PROMPTS, size="a", decoding=DECODING).answer([example])
    ((end_to_end, _),) = asked_of(engine)
    ModelReasoner(engine, PROMPTS, name="think", size="a", decoding=DECODING).reason(
        [example], [""]
    )
    ((reasoned, _),) = asked_of(engine)
    for text in (end_to_end, reasoned):
        assert "red" in text.removeprefix("<image>").removeprefix(example.question)
        assert "blue" in text


def test_oracles_read_the_truth():
    (example,) = world_examples(["count"])
    assert example.scene is not None
    scene = Scene.from_json(example.scene)
    assert OraclePerceiver("question").perceive([example]) == [example.extraction]
    assert OraclePerceiver("scene").perceive([example]) == [full_description(scene)]
    assert OraclePerceiver("caption").perceive([example]) == [caption(scene)]
    assert BlindPerceiver().perceive([example]) == [""]


@pytest.mark.parametrize(
    ("kind", "field"), [("question", "extraction"), ("scene", "scene"), ("caption", "caption")]
)
def test_an_oracle_without_truth_names_the_example(kind: str, field: str):
    (example,) = world_examples(["count"])
    example = replace(example, **{field: None})
    message = rf"oracle_{kind}: world row 0 \({example.id}\).*allowed: sources that know"
    with pytest.raises(ValueError, match=message):
        OraclePerceiver(kind).perceive([example])


def test_unknown_names_are_refused(engine: "Recording"):
    with pytest.raises(ValueError, match="oracle: got 'all', allowed: question, scene, caption"):
        OraclePerceiver("all")
    with pytest.raises(ValueError, match="perceiver: got 'see', allowed: extract, caption"):
        ModelPerceiver(engine, PROMPTS, name="see", size="a", decoding=DECODING)  # type: ignore
    with pytest.raises(ValueError, match="reasoner: got 'guess', allowed: think, answer"):
        ModelReasoner(engine, PROMPTS, name="guess", size="a", decoding=DECODING)  # type: ignore


def test_oracle_and_rules_answer_every_kind_right():
    examples = world_examples(list(QUESTIONS.kinds), number=5)
    system = TwoStage(OraclePerceiver("question"), SymbolicReasoner(QUESTIONS))
    predictions = system.answer(examples, seed=7)
    assert all(prediction.correct for prediction in predictions)
    first = predictions[0]
    assert first.system == "oracle_question_symbolic" == system_name("oracle_question", "symbolic")
    assert (first.perceiver, first.perceiver_size) == ("oracle_question", "")
    assert (first.reasoner, first.reasoner_size) == ("symbolic", "")
    assert (first.id, first.seed, first.category) == (examples[0].id, 7, examples[0].category)
    assert (first.group, first.question) == (examples[0].group, examples[0].question)
    assert first.gold == examples[0].answers
    assert first.scene == examples[0].scene
    assert first.extraction == examples[0].extraction
    for prediction in predictions:
        assert prediction.facts is not None
        assert prediction.facts["missed"] == prediction.facts["invented"] == 0
        assert (prediction.facts["found"] > 0) == (prediction.group != "language")


def test_without_a_picture_rules_miss_what_there_was_to_see():
    examples = world_examples(["count", "locate", "sum"], number=10)
    predictions = TwoStage(BlindPerceiver(), SymbolicReasoner(QUESTIONS)).answer(examples)
    assert sum(prediction.correct for prediction in predictions) < 15
    assert all(p.facts and p.facts["missed"] > 0 and not p.facts["found"] for p in predictions)
    assert all(prediction.extraction == "" for prediction in predictions)


def test_unreadable_answers_are_told_apart_from_wrong_ones(engine: "Recording"):
    (example,) = world_examples(["count"])

    class Says(SymbolicReasoner):
        text = ""

        def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
            return [self.text] * len(examples)

    says = Says(QUESTIONS)
    system = TwoStage(BlindPerceiver(), says)
    for text, parsed, correct in [
        ("center", None, False),
        ("answer: 17", "17", False),
        (f"answer: {example.answers[0]}", example.answers[0], True),
    ]:
        says.text = text
        (prediction,) = system.answer([example])
        assert (prediction.parsed, prediction.correct) == (parsed, correct)
        assert prediction.output == text


def test_facts_are_scored_only_where_a_scene_of_the_world_is_known():
    (example,) = world_examples(["count"])
    system = TwoStage(BlindPerceiver(), SymbolicReasoner(QUESTIONS))
    for changed in (
        replace(example, scene=None),
        replace(example, extraction=None),
        replace(example, scene={"pixels": []}),
    ):
        (prediction,) = system.answer([changed])
        assert prediction.facts is None


def test_another_scorer_of_facts_may_be_given():
    def scorer(text: str, example: Example) -> Mapping[str, int]:
        return {"found": len(text), "missed": 1, "invented": 0, "true": 0}

    examples = world_examples(["count"])
    system = TwoStage(BlindPerceiver(), SymbolicReasoner(QUESTIONS), facts=scorer)
    (prediction,) = system.answer(examples)
    assert prediction.facts == {"found": 0, "missed": 1, "invented": 0, "true": 0}


def test_reading_questions_back_inverts_asking_for_every_kind():
    reader = QuestionReader(QUESTIONS)
    rng = random.Random(1)
    for name, kind in QUESTIONS.kinds.items():
        asked = set()
        for _ in range(60):
            candidates = list(kind.candidates(draw_scene(rng, WorldConfig(min_objects=3))))
            asked |= {args for args, _ in rng.sample(candidates, min(5, len(candidates)))}
        assert asked, name
        for args in asked:
            example = Example("id", (), question=kind.ask(args), category=name, answers=("x",))
            question = reader.read(example)
            assert (question.kind, question.args, question.answer) == (name, args, "x")


@pytest.mark.parametrize(
    ("category", "text"),
    [("count", "how many dogs bark?"), ("count", "where is the circle?"), ("color", "what?")],
)
def test_a_question_that_is_not_of_the_world_is_refused(category: str, text: str):
    example = Example("q1", (), question=text, category=category, source="mine", row=4)
    with pytest.raises(ValueError, match=r"mine row 4 \(q1\): got .* allowed: questions of the"):
        SymbolicReasoner(QUESTIONS).reason([example], [""])
