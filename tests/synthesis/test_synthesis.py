"""Right texts of teachers become records that the sources read and stages learn from."""

import json

import pytest
import torch
from synthesis.made import (
    SHORT,
    TALK,
    asked,
    files_of,
    lines,
    llava,
    spec_file,
    synthesize,
    talk,
    teacher,
)
from tiny import png, tiny_processor, tiny_stage, tiny_trainer

from data_modules import ExtractionData, Mixed
from data_modules.batching import BatchBudget
from data_modules.sources import LLaVA
from mmlite.generation import Decoding
from mmlite.prompts import load_prompts
from mmlite.records import Example
from mmlite.stages import ExtractionTuning
from mmlite.systems import ModelPerceiver, StoredEngine

PAPER = load_prompts("paper")


@pytest.fixture
def records():
    return [
        talk("cats", ["0.png"], *TALK),
        talk("text", [], "How much is 1 + 1?", "2"),
        talk("two", ["1.png", "2.png"], *SHORT),
    ]


@pytest.fixture
def out(records, tmp_path):
    """What the command leaves."""
    assert synthesize(spec_file(tmp_path, llava(tmp_path, records)), tmp_path / "out") == 0
    return tmp_path / "out"


def test_records_hold_the_texts_of_the_teachers(out):
    cats, two = lines(out / "extraction.jsonl")
    assert cats["image"] == "0.png"
    assert cats["conversations"] == [
        {
            "from": "human",
            "value": "<image>Describe the fine-grained content of the image, including scenes, "
            "objects, relationships, instance location, and any text present. Especially, pay "
            "attention to the number of cats, the color of them.",
        },
        {"from": "gpt", "value": "Two gray cats sit on a sofa."},
    ]
    known = cats["mmlite"]
    assert known["task"] == "extraction"
    assert known["question"] == "How many cats are there?\nWhat color are they?"
    assert known["answers"] == ["two", "gray"]
    assert known["info"] == "the number of cats, the color of them"
    assert known["extraction"] == "Two gray cats sit on a sofa."
    assert two["image"] == ["1.png", "2.png"]
    assert two["conversations"][0]["value"].startswith("<image><image>Describe")
    assert two["mmlite"]["answers"] == ["no"]


def test_teachers_are_asked_in_the_papers_words(out, tmp_path):
    told = {(role, text) for role, text, _, _ in asked(tmp_path)}
    pairs = "Question #1: How many cats are there?\nAnswer: two\n"
    pairs += "Question #2: What color are they?\nAnswer: gray"
    assert ("statements", PAPER.render("statements.many", pairs=pairs, number="2")) in told
    pair = "Question #1: Is it red?\nAnswer: no"
    assert ("statements", PAPER.render("statements", pairs=pair)) in told
    grounded = PAPER.render("grounded_description", statements="It is not red.")
    assert ("describe", "<image><image>" + grounded) in told
    infos = {text for role, text in told if role == "info"}
    questions = (TALK[0], TALK[2], SHORT[0])
    assert infos == {PAPER.render("question_info", question=q) for q in questions}
    for _, _, shapes, decoding in asked(tmp_path)[1:]:
        assert decoding["max_new_tokens"] in (256, 1024, 2048)
        assert shapes in ([], [[16, 16, 3]], [[17, 17, 3], [18, 18, 3]])


def test_what_is_left_out_is_counted_and_listed(out):
    assert lines(out / "left_out.jsonl") == [
        {"row": 1, "id": "text", "kind": "no_image", "told": "nothing to look at"}
    ]
    summary = json.loads((out / "synthesis.json").read_text())
    assert (summary["rows"], summary["records"], summary["questions"]) == (3, 2, 3)
    assert summary["images"] == 3
    assert summary["left_out"] == {"no_image": 1}
    assert summary["kept_but_counted"] == {
        "fewer_statements": 0,
        "descriptions_without_an_answer": 0,
    }
    assert summary["mean_words"] == {"describe": 5.0, "info": 6.0, "statements": 6.0}
    assert summary["teachers"]["describe"]["decoding"]["max_new_tokens"] == 2048
    assert summary["prompts"]["source"] == PAPER.source
    assert {"mmlite", "torch", "transformers"} <= set(summary["versions"])
    card = (out / "README.md").read_text()
    for words in (
        "qa.jsonl",
        "synthesis.scripted.Scripted",
        "licences of the source",
        "no image 1",
    ):
        assert words in card


def test_a_teacher_of_three_roles_is_loaded_once(out, tmp_path):
    assert [role for role, *_ in asked(tmp_path)].count("load") == 1


def test_the_same_command_again_does_nothing(out, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}
    log = asked(tmp_path)
    assert synthesize(tmp_path / "synthesis.yaml", out) == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != ".lock"} == before
    assert asked(tmp_path) == log


def test_two_runs_leave_the_same_bytes(out, tmp_path):
    assert synthesize(tmp_path / "synthesis.yaml", tmp_path / "again") == 0
    assert files_of(tmp_path / "again") == files_of(out)


def test_a_lost_file_is_written_again_and_nobody_is_asked(out, tmp_path):
    before = files_of(out)
    (out / "extraction.jsonl").unlink()
    log = asked(tmp_path)
    assert synthesize(tmp_path / "synthesis.yaml", out) == 0
    assert files_of(out) == before
    assert [line for line in asked(tmp_path)[len(log) :] if line[0] != "load"] == []


def test_an_edited_image_is_described_again(out, tmp_path):
    (tmp_path / "images" / "0.png").write_bytes(png(9))
    (out / "synthesis.json").unlink()
    log = asked(tmp_path)
    assert synthesize(tmp_path / "synthesis.yaml", out) == 0
    assert [role for role, *_ in asked(tmp_path)[len(log) :]] == ["load", "describe"]


def test_a_limit_takes_the_first_rows_and_more_go_on_from_there(records, tmp_path):
    spec, out = spec_file(tmp_path, llava(tmp_path, records)), tmp_path / "out"
    assert synthesize(spec, out, "--limit", "1") == 0
    assert [record["id"] for record in lines(out / "extraction.jsonl")] == ["cats"]
    log = asked(tmp_path)
    assert synthesize(spec, out) == 0
    assert [record["id"] for record in lines(out / "extraction.jsonl")] == ["cats", "two"]
    roles = [role for role, *_ in asked(tmp_path)[len(log) :]]
    assert roles == ["load", "info", "statements", "describe"]


def test_images_are_stretched_for_the_teacher_alone(records, tmp_path):
    spec = spec_file(tmp_path, llava(tmp_path, records), image_px=24)
    assert synthesize(spec, tmp_path / "out") == 0
    shapes = [shapes for role, _, shapes, _ in asked(tmp_path) if role == "describe"]
    assert shapes == [[[24, 24, 3]], [[24, 24, 3], [24, 24, 3]]]
    assert lines(tmp_path / "out" / "extraction.jsonl")[0]["image"] == "0.png"


def test_each_role_may_have_a_teacher_of_its_own_that_decodes_its_own_way(records, tmp_path):
    info = teacher(tmp_path, name="info", decoding={"max_new_tokens": 9})
    describe = teacher(tmp_path, name="describe", decoding={"temperature": 0.5})
    spec = spec_file(tmp_path, llava(tmp_path, records), info=info, describe=describe, seed=3)
    assert synthesize(spec, tmp_path / "out") == 0
    assert {role for role, *_ in asked(tmp_path)} == {"load", "statements"}
    assert {line[3]["max_new_tokens"] for line in asked(tmp_path, "info")[1:]} == {9}
    (how,) = {json.dumps(line[3]) for line in asked(tmp_path, "describe")[1:]}
    assert json.loads(how)["max_new_tokens"] == 2048
    assert (json.loads(how)["temperature"], json.loads(how)["seed"]) == (0.5, 3)


@pytest.mark.parametrize("same", [("info", "describe"), ("statements", "describe")])
def test_a_teacher_of_two_roles_is_loaded_once(same, records, tmp_path):
    shared, other = teacher(tmp_path), teacher(tmp_path, name="other")
    roles = {r: shared if r in same else other for r in ("statements", "describe", "info")}
    spec = spec_file(tmp_path, llava(tmp_path, records), **roles)
    assert synthesize(spec, tmp_path / "out") == 0
    for name in ("script", "other"):
        assert [role for role, *_ in asked(tmp_path, name)].count("load") == 1


def test_an_info_that_is_known_is_kept_and_nobody_is_loaded_for_it(tmp_path):
    known = {"question": "Is it red?", "answers": ["no"], "info": "the hue of it"}
    source = llava(tmp_path, [talk("known", ["0.png"], *SHORT, **known)])
    spec = spec_file(tmp_path, source, info=teacher(tmp_path, name="info"))
    assert synthesize(spec, tmp_path / "out") == 0
    assert asked(tmp_path, "info") == []
    (record,) = lines(tmp_path / "out" / "extraction.jsonl")
    assert record["conversations"][0]["value"].endswith("pay attention to the hue of it.")


def source_of(out, tmp_path):
    return LLaVA(str(tmp_path / "images"), train=str(out / "extraction.jsonl"))


def test_the_source_reads_turns_and_what_is_known(out, tmp_path):
    (cats,), (two,) = source_of(out, tmp_path).rows("train")
    assert (cats.task, cats.info) == ("extraction", "the number of cats, the color of them")
    assert cats.turns[1].trained
    assert cats.turns[1].text == cats.extraction == "Two gray cats sit on a sofa."
    assert len(two.images) == 2
    assert (two.source, two.row) == ("qa", 2)


class Listening:
    """Notes what it is asked."""

    fingerprint = "listening"

    def __init__(self):
        self.asked = []

    def generate(self, requests, decoding, *, keep=None):
        self.asked += [request.turns[0].text for request in requests]
        return []

    def request_key(self, request):
        return request.turns[0].text


def test_what_is_trained_is_what_a_perceiver_is_asked(out, tmp_path):
    examples: list[Example] = [row[0] for row in source_of(out, tmp_path).rows("train")]
    data = ExtractionData(tiny_processor(), prompts="paper")
    engine = Listening()
    stored = StoredEngine(engine, fingerprint="x")  # type: ignore[arg-type]
    extract = ModelPerceiver(
        stored, PAPER, name="extract", size="x", decoding=Decoding(max_new_tokens=1)
    )
    extract.perceive(examples)
    assert engine.asked == [data.compose((example,)).turns[0].text for example in examples]


def test_a_stage_trains_on_it(out, tmp_path):
    data = ExtractionData(
        tiny_processor(),
        train=[Mixed(source_of(out, tmp_path))],
        budget=BatchBudget(1),
        prompts="paper",
    )
    stage = tiny_stage(ExtractionTuning, processor=data.processor)
    trainer = tiny_trainer(tmp_path / "run", max_steps=2)
    trainer.fit(stage, data)
    assert trainer.global_step == 2
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
