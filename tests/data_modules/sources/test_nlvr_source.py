"""The NLVR source: the official layout, permutations, the split rule, and errors by message."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_nlvr import item, made_records, record, tower, write_corpus
from PIL import Image

from data_modules.sources import NLVR, NLVRText
from mmlite.nlvr import BoxScene
from mmlite.nlvr.scene import ORDERS
from mmlite.records import Example

PRESENTATIONS = 10
COLOR_PIXELS = {"yellow": (255, 255, 0), "black": (0, 0, 0), "blue": (0, 153, 255)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, "hidden", made_records(PRESENTATIONS))
    return write_corpus(folder, "test", made_records(4, seed=1))


def examples(source: NLVR | NLVRText, split: str) -> list[Example]:
    return [example for row in source.rows(split) for example in row]


def presentations(found: list[Example]) -> set[str]:
    return {example.id.split("-")[1] for example in found}


def test_an_example_as_the_corpus_has_it(root: Path) -> None:
    first = made_records(4, seed=1)[0]
    example = NLVR(str(root)).rows("test")[0][0]
    assert example.id == f"test-{first['identifier']}-0"
    assert (example.task, example.group, example.category) == ("yes_no", "nlvr", "tower")
    assert (example.question, example.answers) == (first["sentence"], (first["label"],))
    assert example.scene == BoxScene.from_corpus(first["structured_rep"]).to_json()
    assert example.cluster == "test-100"
    assert (example.source, example.row, example.turns) == ("nlvr", 0, ())
    assert example.images[0].path == str(root / "test" / "images" / "0" / f"{example.id}.png")
    assert Example.from_json(json.loads(json.dumps(example.to_json()))) == example


def test_six_permutations_show_the_boxes_in_six_orders(root: Path) -> None:
    found = examples(NLVR(str(root)), "test")[:6]
    scenes = [BoxScene.from_json(example.scene or {}) for example in found]
    assert [example.id[-1] for example in found] == list("012345")
    for order, scene in zip(ORDERS, scenes, strict=True):
        assert scene.boxes == tuple(scenes[0].boxes[box] for box in order)
    assert len({example.answers for example in found}) == 1


def test_scenes_agree_with_drawn_pictures(root: Path) -> None:
    assert_pictures_agree(examples(NLVR(str(root)), "test"))


def assert_pictures_agree(found: list[Example]) -> None:
    """The pixel in the middle of every item that nothing else covers has the item's color."""
    for example in found:
        pixels = np.asarray(Image.open(example.images[0].path or "").convert("RGB")).astype(int)
        for start, box in zip((0, 150, 300), (example.scene or {})["boxes"], strict=True):
            for entry in box:
                width = {"small": 10, "medium": 20, "large": 30}[entry["size"]]
                # Below the middle, where a triangle is wide too.
                x, y = start + entry["x"] + width // 2, entry["y"] + 2 * width // 3
                expected = np.array(COLOR_PIXELS[entry["color"]])
                assert np.abs(pixels[y, x] - expected).max() < 40, (example.id, entry)


@pytest.mark.parametrize(("permutations", "number"), [("all", 6), ("first", 1), ("random", 1)])
def test_which_permutations(root: Path, permutations: Any, number: int) -> None:
    found = examples(NLVR(str(root), permutations=permutations), "test")
    per_example = Counter(example.id.rpartition("-")[0] for example in found)
    assert set(per_example.values()) == {number}
    again = examples(NLVR(str(root), permutations=permutations), "test")
    assert [e.id for e in found] == [e.id for e in again]
    if permutations == "random":
        assert {example.id[-1] for example in found} != {"0"}


def test_no_presentation_straddles_the_cut(root: Path) -> None:
    for seed in range(5):
        source = NLVR(str(root), validation_fraction=0.3, seed=seed)
        train, held_out = (presentations(examples(source, s)) for s in ("train", "validation"))
        assert not train & held_out
        assert len(train) == 7
        assert len(held_out) == 3
    cuts = {
        frozenset(presentations(examples(NLVR(str(root), seed=seed), "validation")))
        for seed in range(8)
    }
    assert len(cuts) > 1


def test_any_folder_is_any_split(root: Path) -> None:
    source = NLVR(str(root), train="test", validation=None, test="hidden", validation_fraction=0)
    assert presentations(examples(source, "train")) == {"100", "101", "102", "103"}
    assert len(source.rows("test")) == PRESENTATIONS * 2 * 6
    with pytest.raises(ValueError, match="nlvr: got split 'validation', allowed: train, test"):
        source.rows("validation")
    own = NLVR(str(root), train=None, validation="hidden", test="test")
    assert len(own.rows("validation")) == PRESENTATIONS * 2 * 6
    assert own.labels("test")["100-0"] == "true"


def test_pictures_are_found_wherever_they_lie(tmp_path: Path) -> None:
    write_corpus(tmp_path, "dev", made_records(2))
    images = tmp_path / "dev" / "images"
    deep = images / "elsewhere" / "deep"
    deep.mkdir(parents=True)
    for picture in sorted(images.glob("1/*.png")):
        picture.rename(deep / picture.name)
    source = NLVR(str(tmp_path), train=None, test="dev")
    found = [example.images[0].path or "" for example in examples(source, "test")]
    assert all(Path(path).is_file() for path in found)
    assert any("elsewhere" in path for path in found)
    next(iter(deep.glob("*-3.png"))).unlink()
    with pytest.raises(ValueError, match=r"nlvr: got no picture dev-101-0-3\.png under .* allowed"):
        examples(NLVR(str(tmp_path), train=None, test="dev"), "test")


def test_wrong_arguments_in_one_message(root: Path) -> None:
    with pytest.raises(ValueError, match="nlvr") as error:
        NLVR(str(root), train="train", test="test", validation_fraction=1.5)
    assert "train: got 'train', but there is no file" in str(error.value)
    assert "validation_fraction: got 1.5, allowed: 0 to below 1" in str(error.value)
    with pytest.raises(ValueError, match="allowed: another folder for each split"):
        NLVR(str(root), train="test", test="test")
    with pytest.raises(ValueError, match="permutations: got 'some', allowed: all, first, random"):
        NLVR(str(root), permutations="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got no folder, allowed: at least one of train"):
        NLVR(str(root), train=None, test=None)


GOOD = record("7-0", [tower("blue")] * 3, sentence="s", label="true")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": "maybe"}, "label: got 'maybe', allowed: true, false"),
        ({"identifier": "7"}, "identifier: got '7', allowed: n-m, such as 3776-0"),
        ({"structured_rep": [[], []]}, "allowed: a list of three boxes"),
        (
            {"structured_rep": [[{**item("blue", "circle", 10, 0, 0), "color": "red"}], [], []]},
            r"color 'red', size 10, allowed: circle, square, triangle; yellow, black, #0099ff",
        ),
        ({"structured_rep": [[{"type": "circle"}], [], []]}, "allowed: an object with type, color"),
        ({"sentence": None}, "got no sentence, allowed: an object with identifier, sentence"),
    ],
)
def test_bad_records_name_file_and_line(tmp_path: Path, wrong: dict, message: str) -> None:
    bad = {key: value for key, value in {**GOOD, **wrong}.items() if value is not None}
    write_corpus(tmp_path, "test", [GOOD, bad], pictures=False)
    with pytest.raises(ValueError, match=message) as error:
        NLVR(str(tmp_path), train=None).rows("test")
    assert f"{tmp_path / 'test' / 'test.json'} line 2: " in str(error.value)


def test_text_alone_has_description_sentence_and_answer(root: Path) -> None:
    source = NLVRText(NLVR(str(root)))
    example = source.rows("test")[0][0]
    user, assistant = example.turns
    assert example.images == ()
    assert user.text == f"{example.caption} {example.question} answer.".lower()
    assert (assistant.text, assistant.trained) == ("yes", True)
    blind = NLVRText(NLVR(str(root)), description="none").rows("test")[0][0]
    assert blind.turns[0].text == f"{example.question} answer.".lower()


def test_recoloring_keeps_answers_and_changes_all_colors_alike(root: Path) -> None:
    plain, six = (NLVRText(NLVR(str(root)), recolor=recolor) for recolor in (False, True))
    assert len(six.rows("train")) == 6 * len(plain.rows("train"))
    assert len(six.rows("validation")) == len(plain.rows("validation"))
    original = plain.rows("train")[0][0].turns
    versions = [six.rows("train")[way][0].turns for way in range(6)]
    assert versions[0] == original
    assert len({turns[0].text for turns in versions}) == 6
    assert {turns[1].text for turns in versions} == {original[1].text}
    without = {re.sub("yellow|black|blue", "color", turns[0].text) for turns in versions}
    assert len(without) == 1


def test_the_real_corpus(shared_data: Path) -> None:
    source = NLVR(str(shared_data))
    rows = source.rows("test")
    assert len(rows) == 5_940
    sides = [source.rows(split) for split in ("train", "validation")]
    assert sum(map(len, sides)) == 5_910
    held_out, train = (
        presentations([side[n][0] for n in range(0, len(side), 6)]) for side in sides
    )
    assert not held_out & train
    assert_pictures_agree([rows[number][0] for number in range(0, len(rows), 37)])
