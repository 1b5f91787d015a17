import json
from pathlib import Path

import pytest
from made_study import make_study_folder

from mmlite.analysis import make_report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_study_folder(tmp_path / "study", per_kind=1)


def test_predictions_alone_make_a_report(folder: Path) -> None:
    for name in ("study.json", "gallery.json"):
        (folder / name).unlink(missing_ok=True)
    page = make_report(folder).read_text()
    assert "Extract+Think" in page
    rows = json.loads((folder / "results.json").read_text())["rows"]
    assert any(row["system"] == "extract_think" and row["n"] for row in rows)


def test_a_folder_without_predictions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got neither predictions nor study\.json .* run the stu"):
        make_report(tmp_path)


def test_broken_study(folder: Path) -> None:
    (folder / "study.json").write_text('{"name": ')
    with pytest.raises(ValueError, match=r"study\.json: not readable as JSON .* correct the file"):
        make_report(folder)


def test_study_that_is_no_mapping(folder: Path) -> None:
    (folder / "study.json").write_text("[]")
    with pytest.raises(ValueError, match=r"study\.json: got list, allowed: a mapping"):
        make_report(folder)


def test_wrong_kinds_in_study_are_named_together(folder: Path) -> None:
    (folder / "study.json").write_text('{"seeds": 3, "groups": []}')
    with pytest.raises(
        ValueError, match=r"seeds: got int, .* a list; groups: got list, .* mapping"
    ):
        make_report(folder)


def test_size_without_name(folder: Path) -> None:
    (folder / "study.json").write_text('{"sizes": [{"parameters": 3}]}')
    with pytest.raises(ValueError, match=r"sizes\[0\]: got dict, allowed: a mapping with a name"):
        make_report(folder)


def test_no_predictions(folder: Path) -> None:
    for path in (folder / "predictions").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"predictions: no predictions; allowed: at least one"):
        make_report(folder)


@pytest.mark.parametrize("broken", ['{"id": "a', '{"id": "a"}', "[]", "3"])
def test_broken_line_names_file_and_line(folder: Path, broken: str) -> None:
    path = folder / "predictions" / "end_to_end-0.jsonl"
    number = len(path.read_text().splitlines()) + 1
    with path.open("a") as file:
        file.write(f"{broken}\n")
    with pytest.raises(ValueError, match=rf"end_to_end-0\.jsonl, line {number}: not a prediction"):
        make_report(folder)


def test_correct_must_be_true_or_false(folder: Path) -> None:
    path = folder / "predictions" / "end_to_end-0.jsonl"
    first, *others = path.read_text().splitlines()
    line = json.dumps({**json.loads(first), "correct": "yes"})
    path.write_text("\n".join([line, *others]))
    with pytest.raises(ValueError, match=r"line 1: got correct='yes', .* true or false"):
        make_report(folder)


@pytest.mark.parametrize(
    "facts", [{"found": 1}, 3, {"found": 1, "missed": 0, "invented": 0, "true": "x"}]
)
def test_facts_must_be_four_counts(folder: Path, facts: object) -> None:
    path = folder / "predictions" / "end_to_end-0.jsonl"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "facts": facts}), *others]))
    with pytest.raises(ValueError, match=r"line 1: got facts=.*, allowed: .* found, missed"):
        make_report(folder)


def test_two_answers_to_one_question(folder: Path) -> None:
    path = folder / "predictions" / "end_to_end-0.jsonl"
    (folder / "predictions" / "z.jsonl").write_text(path.read_text().splitlines()[0])
    message = r"z\.jsonl, line 1: a second answer of end_to_end .* first is at end_to_end-0\.jsonl"
    with pytest.raises(ValueError, match=message):
        make_report(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"gallery\.json: got dict, allowed: a list"),
        ('[{"system": "x"}]', r"gallery\.json, entry 0: allowed: a mapping with an id"),
        ('[{"id": "a", "image_png_base64": "PHN2Zz4="}]', r"entry 0: image_png_base64 begins"),
    ],
)
def test_broken_gallery(folder: Path, content: str, message: str) -> None:
    (folder / "gallery.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        make_report(folder)
