"""Export: LLaVA-format files from which Examples are rebuilt, written whole or not at all."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmlite.microworld import (
    ExportPlan,
    Picture,
    Questions,
    Scene,
    WorldConfig,
    choice_example,
    draw_scene,
    export_world,
    preview_world,
    split_of,
    world_example,
)
from mmlite.records import Example, ImageRef, Turn
from mmlite.tasks import get_task

PLAN = ExportPlan(num_images=4, questions_per_image=3)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "world"
    export_world(folder, PLAN)
    return folder


def records(folder: Path, split: str, name: str) -> list[dict]:
    return json.loads((folder / split / f"{name}.json").read_text(encoding="utf-8"))


def rebuilt(record: dict) -> Example:
    turns = [
        {
            "role": "user" if turn["from"] == "human" else "assistant",
            "text": turn["value"],
            "trained": turn["from"] == "gpt",
        }
        for turn in record["conversations"]
    ]
    images = [{"path": record["image"]}]
    return Example.from_json(
        {**record["mmlite"], "id": record["id"], "turns": turns, "images": images}
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_record_has_its_picture_and_its_form(exported, split):
    for name, number in (("caption", 4), ("extraction", 12), ("qa", 12), ("multiple_choice", 12)):
        found = records(exported, split, name)
        assert len(found) == number
        assert len({record["id"] for record in found}) == number
        for record in found:
            human, gpt = record["conversations"]
            assert (human["from"], gpt["from"]) == ("human", "gpt")
            assert human["value"].startswith("<image>\n")
            assert gpt["value"]
            with Image.open(exported / record["image"]) as image:
                assert image.size == (60, 60)
            assert split_of(Scene.from_json(record["mmlite"]["scene"])) == split


def test_examples_are_rebuilt_as_they_were(exported):
    for name in ("qa", "multiple_choice", "extraction", "caption"):
        for record in records(exported, "test", name):
            example = rebuilt(record)
            assert example == Example.from_json(json.loads(json.dumps(example.to_json())))
            assert example.turns[1] == Turn("assistant", record["conversations"][1]["value"], True)
            assert example.images == (ImageRef(path=record["image"]),)
            if name in ("qa", "multiple_choice"):
                task = get_task(example.task)
                assert task.judge(example.turns[1].text, example)[1] == 1


def test_answers_agree_with_the_scene(exported):
    questions = Questions()
    for record in records(exported, "train", "qa"):
        example = rebuilt(record)
        scene = Scene.from_json(example.scene or {})
        if example.group == "language":
            continue
        asked = {
            questions.kinds[example.category].ask(args): answer
            for args, answer in questions.kinds[example.category].candidates(scene)
        }
        assert asked[example.question] == example.answers[0]


def test_multiple_choice_has_lettered_options_and_a_letter(exported):
    for record in records(exported, "validation", "multiple_choice"):
        known, (human, gpt) = record["mmlite"], record["conversations"]
        letter = "ABCD"[known["choices"].index(known["answers"][0])]
        assert gpt["value"] == letter
        assert f"{letter}. {known['answers'][0]}" in human["value"]


def test_equal_plans_write_equal_files(exported, tmp_path):
    export_world(tmp_path / "again", PLAN)
    files = sorted(p.relative_to(exported) for p in exported.rglob("*") if p.is_file())
    assert len(files) == 3 * (4 + 4) + 1
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (exported / file).read_bytes()


def test_the_worlds_own_phrases_can_be_exported(tmp_path):
    plan = ExportPlan(num_images=2, splits=("test",), prompts="micro")
    counts = export_world(tmp_path / "micro", plan)
    assert list(counts) == ["test"]
    human, _ = records(tmp_path / "micro", "test", "caption")[0]["conversations"]
    assert human["value"] == "<image>\ndescribe."


def test_progress_is_told(tmp_path):
    told = []
    plan = ExportPlan(num_images=2, splits=("train", "test"))
    export_world(tmp_path / "told", plan, progress=lambda done, all_: told.append((done, all_)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="which is not empty, allowed: a new or an empty folder"):
        export_world(tmp_path, PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(picture: Picture) -> np.ndarray:
        raise OSError("no space left on device")

    monkeypatch.setattr("mmlite.microworld.export.render", fail)
    with pytest.raises(OSError, match="no space left"):
        export_world(tmp_path / "world", PLAN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"num_images": 0}, "num_images: got 0, allowed: 1 or more"),
        ({"questions_per_image": -1}, "questions_per_image: got -1, allowed: 1 or more"),
        ({"splits": ("dev",)}, r"splits: got \['dev'\], allowed: some of \['train'"),
        ({"splits": ()}, r"splits: got \[\], allowed: some of"),
    ],
)
def test_bad_plans_are_refused(plan, message):
    with pytest.raises(ValueError, match=message):
        ExportPlan(**plan)


def test_options_depend_on_picture_and_question_alone():
    questions = Questions()
    picture = Picture(draw_scene(random.Random(0), WorldConfig()), 3, WorldConfig())
    question = questions.pick("locate", picture.scene, random.Random(0))
    assert question is not None
    one = choice_example(picture, question, questions, source="s", row=0)
    assert one == choice_example(picture, question, questions, source="s", row=0)
    plain = world_example(picture, question, questions, source="s", row=0)
    assert (one.question, one.answers, one.category) == (
        plain.question,
        plain.answers,
        plain.category,
    )
    assert len(one.choices) == 4


def test_preview_is_a_grid_of_pictures(tmp_path):
    path = preview_world(tmp_path / "new" / "grid.png", rows=2, columns=3, seed=1)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 3 * 180
        assert image.height > 2 * 180
        pixels = np.asarray(image)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000
    assert [p.name for p in path.parent.iterdir()] == ["grid.png"]
    again = preview_world(tmp_path / "again.png", rows=2, columns=3, seed=1)
    assert again.read_bytes() == path.read_bytes()


def test_preview_goes_on_where_a_world_allows_no_question_of_a_kind(tmp_path):
    config = WorldConfig(digit_fraction=0)
    assert preview_world(tmp_path / "grid.png", config=config).is_file()


def test_bad_previews_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"preview: got '.*grid.jpg', allowed: a name that ends"):
        preview_world(tmp_path / "grid.jpg")
    with pytest.raises(ValueError, match="preview: got 0 rows, 4 columns, allowed: 1 or more"):
        preview_world(tmp_path / "grid.png", rows=0)
