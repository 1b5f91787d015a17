"""Kinds of scenes: facts, clauses and descriptions of both worlds through one door."""

import dataclasses
import json
import random
from pathlib import Path

from made_nlvr import item, made_records, write_corpus
from nlvr.test_official import predict

from data_modules.sources import NLVR, MicroWorld
from mmlite.microworld import WorldConfig, score_facts
from mmlite.microworld.heldout import draw_scene_of
from mmlite.nlvr import BoxScene, describe, read_official
from mmlite.predictions import write_predictions
from mmlite.records import Example
from mmlite.scenes import count_facts, kind_of
from mmlite.study.official import write_official_files
from mmlite.systems import OraclePerceiver

BOXES = BoxScene.from_corpus([[item("blue", "circle", 10, 0, 40)], [], []])
NLVR_EXAMPLE = Example("x", (), extraction=describe(BOXES), scene=BOXES.to_json())


def test_facts_of_a_box_scene() -> None:
    gold = {"found": 1, "missed": 0, "invented": 0, "true": 1}
    assert count_facts(describe(BOXES), NLVR_EXAMPLE) == gold
    assert count_facts("", NLVR_EXAMPLE) == {**gold, "found": 0, "missed": 1, "true": 0}


def test_facts_of_a_micro_scene() -> None:
    scene = draw_scene_of("test", random.Random(0), WorldConfig())
    kind = kind_of(scene.to_json())
    assert kind is not None
    text = kind.describe(scene.to_json())
    example = Example("x", (), extraction=text, scene=scene.to_json())
    assert count_facts(text, example) == score_facts(text, text, scene).to_json()
    assert {status for _, status in kind.judge(text, text, scene.to_json())} == {"found"}
    assert kind.write_official is None


def test_no_facts_without_a_known_scene() -> None:
    assert kind_of(None) is None
    assert kind_of({"pixels": []}) is None
    assert count_facts("a", dataclasses.replace(NLVR_EXAMPLE, scene=None)) is None
    assert count_facts("a", dataclasses.replace(NLVR_EXAMPLE, extraction=None)) is None


def test_the_oracle_writes_every_fact_of_either_world() -> None:
    row = MicroWorld(held_out_per_kind=1).rows("test")[0]
    micro, nlvr = OraclePerceiver("scene").perceive([row[0], NLVR_EXAMPLE])
    assert nlvr == "left box middle-left small blue circle touching left. " + (
        "middle box none. right box none."
    )
    facts = count_facts(micro, dataclasses.replace(row[0], extraction=micro))
    assert facts is not None
    assert facts["missed"] == facts["invented"] == 0
    assert facts["found"] > 0


def test_a_study_leaves_official_files_beside_its_predictions(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", "dev", made_records(2))
    rows = NLVR(str(corpus), train=None, test="dev").rows("test")
    made = [predict(example, "yes") for (example,) in rows]
    other = [dataclasses.replace(p, system="end_to_end_blind", seed=1) for p in made]
    write_predictions(tmp_path / "predictions" / "a.jsonl", made + other)
    write_predictions(
        tmp_path / "predictions" / "b.jsonl",
        [dataclasses.replace(p, system="no_scene", scene=None) for p in made],
    )
    names = [path.name for path in write_official_files(tmp_path)]
    assert names == ["end_to_end-d-seed-0.csv", "end_to_end_blind-d-seed-1.csv"]
    answers = read_official(tmp_path / "official" / names[0])
    assert set(answers) == {p.id for p in made}
    assert set(answers.values()) == {"true"}


def test_clusters_survive_json() -> None:
    example = dataclasses.replace(NLVR_EXAMPLE, cluster="test-7", answers=("true",))
    assert Example.from_json(json.loads(json.dumps(example.to_json()))).cluster == "test-7"
    prediction = predict(example, "yes")
    assert type(prediction).from_json(json.loads(json.dumps(prediction.to_json()))) == prediction
