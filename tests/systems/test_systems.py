"""Perceivers, reasoners, systems and the store."""

import json

import pytest
from lightning import seed_everything
from tiny import png, tiny_stage

from mmlite.generation import Decoding, Engine, Request
from mmlite.microworld import Knowledge, Questions, draw_held_out, world_example
from mmlite.models import VisionLanguageModel
from mmlite.prompts import load_prompts
from mmlite.records import Example, ImageRef, Turn
from mmlite.systems import (
    BlindPerceiver,
    EndToEnd,
    ModelPerceiver,
    ModelReasoner,
    OraclePerceiver,
    PerceptionStore,
    StoredEngine,
    SymbolicReasoner,
    TwoStage,
)
from mmlite.systems.symbolic import QuestionReader

PROMPTS = load_prompts("micro")
DECODING = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def questions():
    return Questions(Knowledge())


@pytest.fixture(scope="module")
def asked(questions):
    drawn = draw_held_out(questions, "validation", 6, seed=0)
    return [
        world_example(picture, question, questions, source="world", row=row)
        for row, (picture, question) in enumerate(drawn.items)
    ]


@pytest.fixture(scope="module")
def engine():
    seed_everything(0)
    stage = tiny_stage()
    stage.configure_model()
    assert isinstance(stage.built, VisionLanguageModel)
    return Engine(stage.built, stage.processor)


def test_every_kind_of_question_is_read_back(questions, asked):
    reader = QuestionReader(questions)
    for example in asked:
        assert questions.ask(reader.read(example)) == example.question


def test_perfect_perception_and_reasoning_are_always_right(questions, asked):
    made = TwoStage(OraclePerceiver("question"), SymbolicReasoner(questions)).answer(asked, seed=4)
    assert all(p.correct for p in made)
    assert {p.seed for p in made} == {4}
    assert made[0].system == "oracle_question_symbolic"
    facts = [p.facts or {} for p in made]
    assert all(found["missed"] == found["invented"] == 0 for found in facts)


def test_blind_reasoning_is_not_right(questions, asked):
    made = TwoStage(BlindPerceiver(), SymbolicReasoner(questions)).answer(asked)
    seen = [p for p in made if p.group == "vision"]
    assert sum(p.correct for p in seen) / len(seen) < 0.5


def test_an_oracle_without_truth_names_the_row():
    with pytest.raises(ValueError, match=r"oracle_question: world row 3 \(x\) has no ground truth"):
        OraclePerceiver("question").perceive([Example("x", (), source="world", row=3)])


def example(seed=0, **fields):
    return Example(
        "e",
        (),
        (ImageRef(data=png(seed)),),
        task="short_answer",
        question="what is red ?",
        answers=("one",),
        **fields,
    )


def test_predictions_are_filled_in(engine):
    stored = StoredEngine(engine, fingerprint="w")
    perceiver = ModelPerceiver(stored, PROMPTS, name="extract", size="s", decoding=DECODING)
    reasoner = ModelReasoner(stored, PROMPTS, name="think", size="t", decoding=DECODING)
    (made,) = TwoStage(perceiver, reasoner).answer([example(group="vision", category="kind")])
    assert (made.system, made.perceiver_size, made.reasoner_size) == ("extract_think", "s", "t")
    assert made.extraction is not None
    assert made.gold == ("1",)
    (whole,) = EndToEnd(stored, PROMPTS, size="s", decoding=DECODING).answer([example()])
    assert (whole.system, whole.extraction) == ("end_to_end", None)
    (blind,) = EndToEnd(stored, PROMPTS, size="s", decoding=DECODING, images=False).answer(
        [example()]
    )
    assert blind.system == "end_to_end_blind"


def request(seed=0, text="<image>what is red ?"):
    return Request((Turn("user", text),), (ImageRef(data=png(seed)),))


def test_the_store_returns_only_what_was_made_of_the_same_input(engine, tmp_path, monkeypatch):
    store = PerceptionStore(tmp_path)
    calls = []
    original = Engine.generate

    def counted(self, requests, decoding, **kwargs):
        calls.append(len(requests))
        return original(self, requests, decoding, **kwargs)

    monkeypatch.setattr(Engine, "generate", counted)
    stored = StoredEngine(engine, fingerprint="w", store=store)
    first = stored.write([request()], DECODING)
    assert stored.write([request()], DECODING) == first
    assert calls == [1, 0]
    stored.write([request(seed=1)], DECODING)  # another image
    stored.write([request(text="<image>what is blue ?")], DECODING)  # another prompt
    stored.write([request()], Decoding(max_new_tokens=3))  # another setting
    StoredEngine(engine, fingerprint="v", store=store).write([request()], DECODING)  # weights
    assert calls == [1, 0, 1, 1, 1, 1]
    fresh = StoredEngine(engine, fingerprint="w", store=PerceptionStore(tmp_path))
    assert fresh.write([request()], DECODING) == first
    assert calls[-1] == 0


def test_a_torn_line_is_passed_over(tmp_path):
    (tmp_path / "1.jsonl").write_text(json.dumps(["a", "text"]) + "\n" + '["b", "te')
    store = PerceptionStore(tmp_path)
    assert store.get("a") == "text"
    assert store.get("b") is None
    store.put({"b": "text"})
    assert PerceptionStore(tmp_path).get("b") == "text"
