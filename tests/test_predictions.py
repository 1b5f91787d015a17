"""Predictions on disk: whole or not at all, and the same afterwards."""

from pathlib import Path

import pytest

from mmlite.predictions import read_predictions, write_predictions
from mmlite.records import Prediction


def prediction(number: int, output: str = "answer: red") -> Prediction:
    return Prediction(
        id=f"q{number}",
        seed=0,
        system="extract_think",
        perceiver="extract",
        perceiver_size="a",
        reasoner="think",
        reasoner_size="d",
        category="count",
        group="vision",
        question="how many?",
        gold=("red",),
        output=output,
        parsed=None,
        correct=False,
        extraction="",
        scene={"objects": [["circle", "red", "small", None, "center"]]},
        facts={"found": 1, "missed": 0, "invented": 0, "true": 1},
    )


def test_what_was_written_is_read(tmp_path: Path):
    path = tmp_path / "predictions" / "one.jsonl"
    made = [prediction(0), prediction(1, output="line\nend \u2028 \x85 \x1c \r\u00e9")]
    write_predictions(path, made)
    assert read_predictions(path) == made
    assert path.read_bytes().count(b"\n") == 2


def test_a_failure_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "one.jsonl"
    write_predictions(path, [prediction(0)])

    def failing():
        yield prediction(1)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        write_predictions(path, failing())
    assert read_predictions(path) == [prediction(0)]
    assert [file.name for file in tmp_path.iterdir()] == ["one.jsonl"]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "q"}', "7"])
def test_a_line_that_is_no_prediction_is_named(line: str, tmp_path: Path):
    path = tmp_path / "one.jsonl"
    write_predictions(path, [prediction(0)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"one.jsonl line 2: is no prediction .*make the file"):
        read_predictions(path)
