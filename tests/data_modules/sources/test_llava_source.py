"""The LLaVA source: what it reads, its own export read back, and every bad row by message."""

import json
from pathlib import Path

import pytest
from PIL import Image

from data_modules.sources import LLaVA
from mmlite.errors import RowError
from mmlite.microworld import ExportPlan, export_world
from mmlite.microworld.export import llava_record
from mmlite.records import Example, ImageRef, Turn

ASKED = [
    {"from": "human", "value": "<image>\nhow many?"},
    {"from": "gpt", "value": "two"},
    {"from": "user", "value": "sure?"},
    {"from": "assistant", "value": "yes"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "outside.png").write_bytes(b"x")
    return tmp_path


def write(root: Path, records: list, *, lines: bool) -> Path:
    path = root / ("rows.jsonl" if lines else "rows.json")
    text = "".join(f"{json.dumps(r)}\n" for r in records) if lines else json.dumps(records)
    path.write_text(text)
    return path


def read(root: Path, record: object, *, lines: bool = False, **arguments: str) -> Example:
    path = write(root, [record], lines=lines)
    source = LLaVA(str(root / "images"), train=str(path), **arguments)
    return source.rows("train")[0][0]


@pytest.mark.parametrize("lines", [False, True])
def test_turns_and_images_as_given(root: Path, lines: bool) -> None:
    record = {"id": "7", "image": "a.png", "conversations": ASKED}
    example = read(root, record, lines=lines, task="short_answer")
    assert example.turns == (
        Turn("user", "<image>\nhow many?"),
        Turn("assistant", "two", trained=True),
        Turn("user", "sure?"),
        Turn("assistant", "yes", trained=True),
    )
    assert example.images == (ImageRef(path=str(root / "images" / "a.png")),)
    assert (example.id, example.question, example.answers) == ("7", "how many?", ("two",))
    assert (example.task, example.source, example.row) == ("short_answer", "llava", 0)


def test_placeholders_are_prepended_to_the_first_user_turn(root: Path) -> None:
    turns = [{"from": "system", "value": "be brief"}, *ASKED[2:]]
    example = read(root, {"image": ["a.png", "b.png"], "conversations": turns})
    assert [t.text for t in example.turns] == ["be brief", "<image>\n<image>\nsure?", "yes"]
    assert [Path(i.path or "").name for i in example.images] == ["a.png", "b.png"]
    assert example.id == "llava-0"


def test_a_row_without_images(root: Path) -> None:
    example = read(root, {"id": 3, "conversations": ASKED[2:]})
    assert (example.id, example.images, example.turns[0].text) == ("3", (), "sure?")


def test_json_lines_are_read_at_any_place(root: Path) -> None:
    records = [{"id": str(n), "conversations": ASKED[2:]} for n in range(5)]
    rows = LLaVA(str(root), test=str(write(root, records, lines=True))).rows("test")
    assert len(rows) == 5
    assert [row[0].id for row in (rows[3], rows[0], rows[-1])] == ["3", "0", "4"]
    assert [row[0].row for row in rows[1:3]] == [1, 2]


def test_blank_lines_are_no_rows_and_lines_keep_their_numbers(root: Path) -> None:
    lines = ["\ufeff", json.dumps({"conversations": ASKED[2:]}), " ", "{}", ""]
    (root / "rows.jsonl").write_text("\r\n".join(lines))
    rows = LLaVA(str(root), train=str(root / "rows.jsonl")).rows("train")
    assert len(rows) == 2
    assert (rows[0][0].row, rows[0][0].id) == (1, "llava-1")
    with pytest.raises(RowError, match=r"rows\.jsonl line 4: conversations: got None"):
        rows[1]


def test_json_that_is_too_deep_is_a_malformed_row(root: Path) -> None:
    (root / "rows.jsonl").write_text("[" * 5000 + "]" * 5000 + "\n" + "[" * 50 + "]" * 50)
    rows = LLaVA(str(root), train=str(root / "rows.jsonl")).rows("train")
    with pytest.raises(RowError, match=r"line 1: got invalid JSON .*recursion.*, allowed: one"):
        rows[0]
    with pytest.raises(RowError, match="line 2: got list, allowed: a JSON object"):
        rows[1]


def test_an_empty_json_lines_file_has_no_rows(root: Path) -> None:
    assert len(LLaVA(str(root), test=str(write(root, [], lines=True))).rows("test")) == 0


def test_our_export_is_read_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    export_world(folder, ExportPlan(num_images=3, questions_per_image=2, splits=("train",)))
    for kind in ("caption", "extraction", "qa", "multiple_choice"):
        path = folder / "train" / f"{kind}.json"
        records = json.loads(path.read_text())
        rows = LLaVA(str(folder), train=str(path)).rows("train")
        assert len(rows) == len(records) > 0
        for record, (example,) in zip(records, rows, strict=True):
            prompt, answer = (turn["value"] for turn in record["conversations"])
            again = llava_record(example, record["image"], prompt.removeprefix("<image>\n"), answer)
            assert again == record
            assert [turn.trained for turn in example.turns] == [False, True]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1], r"rows\.jsonl line 1: got list, allowed: a JSON object"),
        ({"conversations": []}, r"line 1: conversations: got \[\], allowed: a list"),
        ({"conversations": ["hi"]}, r"conversations\[0\]: got 'hi', allowed: an object"),
        (
            {"conversations": [{"from": "bot", "value": "x"}]},
            r"\.from: got 'bot', allowed: human, user, gpt",
        ),
        (
            {"conversations": ASKED[1:3]},
            r"got turns of assistant, user, allowed: user and assistant in turn",
        ),
        ({"conversations": ASKED[2:3]}, r"got turns of user, allowed"),
        ({"image": "c.png", "conversations": ASKED}, r"line 1: image path: got 'c.png', but there"),
        ({"image": "../outside.png", "conversations": ASKED}, r"which leads out of the image root"),
        ({"image": 3, "conversations": ASKED}, r"image: got 3, allowed: a path, a list"),
        ({"conversations": ASKED}, r"got 1 <image> placeholders for 0 images, allowed: as many"),
        (
            {"conversations": ASKED[2:], "mmlite": {"colour": 1}},
            r"mmlite: got keys \['colour'\], allowed: fields of Example",
        ),
        ({"conversations": ASKED[2:], "mmlite": {"images": []}}, r"mmlite: got keys \['images'\]"),
        ({"conversations": ASKED[2:], "mmlite": 3}, "mmlite: got 3, allowed: an object"),
        (
            {"conversations": ASKED[2:], "mmlite": {"answers": [1]}},
            r"mmlite: answers: got \[1\], allowed: a list of texts",
        ),
        ({"conversations": ASKED[2:], "id": ["a"]}, r"line 1: id: got \['a'\], allowed: a text"),
        (
            {"conversations": [{**ASKED[2], "from": ["user"]}, ASKED[3]]},
            r"conversations\[0\]\.from: got \['user'\], allowed: human",
        ),
    ],
)
def test_bad_rows_name_file_and_line(root: Path, record: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(root, record, lines=True)


def test_a_bad_row_of_a_list_names_its_row(root: Path) -> None:
    path = write(root, [{"conversations": ASKED[2:]}, {"conversations": []}], lines=False)
    rows = LLaVA(str(root), train=str(path)).rows("train")
    assert rows[0]
    with pytest.raises(ValueError, match=r"rows\.json row 1: conversations: got \[\]"):
        rows[1]


def test_broken_json(root: Path) -> None:
    (root / "rows.jsonl").write_text('{"conversations": \n{}\n')
    rows = LLaVA(str(root), train=str(root / "rows.jsonl")).rows("train")
    with pytest.raises(ValueError, match=r"rows\.jsonl line 1: got invalid JSON .* allowed: one"):
        rows[0]
    (root / "rows.json").write_text("{}\n{}")
    with pytest.raises(ValueError, match=r"rows\.json: got invalid JSON .*named \.jsonl"):
        LLaVA(str(root), train=str(root / "rows.json")).rows("train")
    (root / "rows.json").write_text("{}")
    with pytest.raises(ValueError, match=r"rows\.json: got dict, allowed: a JSON list"):
        LLaVA(str(root), train=str(root / "rows.json")).rows("train")


def test_wrong_arguments(root: Path) -> None:
    with pytest.raises(ValueError, match="llava: got no file, allowed: at least one of train"):
        LLaVA(str(root))
    with pytest.raises(ValueError, match=r"train: got 'no\.json', but .*image_root: got 'gone'"):
        LLaVA("gone", train="no.json")
    source = LLaVA(str(root), train=str(write(root, [], lines=False)))
    with pytest.raises(ValueError, match="llava: got split 'test', allowed: train"):
        source.rows("test")
