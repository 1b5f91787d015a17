"""`mmlite world --export`, read back by our own source and by a plain reader of the format."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_modules.sources import LLaVA
from mmlite.cli.main import main
from mmlite.images import open_image
from mmlite.microworld import (
    ExportPlan,
    Picture,
    Questions,
    WorldConfig,
    caption_example,
    choice_example,
    render,
    world_example,
)
from mmlite.microworld.export import draw_export
from mmlite.microworld.scene import SPLITS, Split
from mmlite.prompts import load_prompts
from mmlite.records import Example, ImageRef, Turn
from mmlite.tasks import get_task

FILES = ("caption", "extraction", "qa", "multiple_choice")
NUM_IMAGES = 5
PLAN = ExportPlan(
    num_images=NUM_IMAGES, questions_per_image=12, seed=3, config=WorldConfig(noise=0.02)
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "world.yaml").write_text("noise: 0.02\n")
    options = ["--images", str(NUM_IMAGES), "--questions", "12", "--seed", "3"]
    dials = ["--world", str(folder / "world.yaml")]
    assert main(["world", "--export", str(folder / "world"), *options, *dials]) == 0
    return folder / "world"


def made_of(kind: str, split: Split) -> list[tuple[Picture, Example, str, str]]:
    """What a file is made of: pictures, Examples without turns, prompts and answers."""
    questions, prompts = Questions(), load_prompts("paper")
    made = []
    for row, (picture, asked) in enumerate(draw_export(split, PLAN, questions)):
        known = {"source": f"micro-world-{split}", "row": row}
        if kind == "caption":
            example = caption_example(picture, **known)
            made.append((picture, example, prompts.render("caption"), str(example.caption)))
        for question in asked if kind != "caption" else ():
            build = choice_example if kind == "multiple_choice" else world_example
            example = build(picture, question, questions, **known)
            task = get_task(example.task)
            prompt, answer = "", str(example.extraction)
            if kind != "extraction":
                prompt = prompts.render(prompts.answer_key(task.name), **task.fields(example))
                answer = task.gold(example)
            made.append((picture, example, prompt, answer))
    return made


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", FILES)
def test_our_source_reads_the_examples_it_was_made_of(
    kind: str, split: Split, exported: Path
) -> None:
    path = str(exported / split / f"{kind}.json")
    rows = LLaVA(str(exported), **{split: path}).rows(split)
    expected = made_of(kind, split)
    assert len(rows) == len(expected) >= NUM_IMAGES
    for (found,), (picture, example, prompt, answer) in zip(rows, expected, strict=True):
        human, gpt = found.turns
        if prompt:
            assert human.text == f"<image>\n{prompt}"
        assert found.question in human.text
        file = exported / "images" / f"{split}-{example.row:06d}.png"
        turns = Turn("user", human.text), Turn("assistant", answer, trained=True)
        image = ImageRef(path=str(file.resolve()))
        assert found == replace(example, turns=turns, images=(image,))
        assert np.array_equal(open_image(found.images[0]), render(picture))
        if kind == "multiple_choice":
            assert all(option in human.text for option in found.choices)
            assert found.choices["abcd".index(gpt.text.lower()[0])] == found.answers[0]


def test_all_kinds_of_questions_are_there(exported: Path) -> None:
    kinds = {
        record["mmlite"]["category"]
        for split in SPLITS
        for record in json.loads((exported / split / "qa.json").read_text())
    }
    assert kinds == set(Questions().kinds)


@pytest.mark.parametrize("kind", FILES)
def test_a_plain_reader_finds_the_format(kind: str, exported: Path) -> None:
    """What any LLaVA-style trainer looks at: id, image, conversations, and nothing else."""
    records = json.loads((exported / "train" / f"{kind}.json").read_text(encoding="utf-8"))
    assert isinstance(records, list)
    assert len({record["id"] for record in records}) == len(records)
    for record in records:
        assert isinstance(record["id"], str)
        assert not Path(record["image"]).is_absolute()
        with Image.open(exported / record["image"]) as image:
            image.load()
            assert (image.mode, image.size) == ("RGB", (60, 60))
        turns = record["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"]
        assert all(set(turn) == {"from", "value"} for turn in turns)
        assert all(isinstance(turn["value"], str) and turn["value"].strip() for turn in turns)
        assert turns[0]["value"].startswith("<image>\n")
        assert "".join(turn["value"] for turn in turns).count("<image>") == 1


@pytest.mark.parametrize("kind", FILES)
def test_without_our_own_key_the_conversations_are_the_same(
    kind: str, exported: Path, tmp_path: Path
) -> None:
    path = exported / "test" / f"{kind}.json"
    records = json.loads(path.read_text())
    plain = [{key: r[key] for key in ("id", "image", "conversations")} for r in records]
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    ours = LLaVA(str(exported), test=str(path)).rows("test")
    theirs = LLaVA(str(exported), test=str(tmp_path / "plain.json")).rows("test")
    for (one,), (other,) in zip(ours, theirs, strict=True):
        assert (one.id, one.turns, one.images) == (other.id, other.turns, other.images)
