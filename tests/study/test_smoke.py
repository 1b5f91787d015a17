"""The whole study, small: its files, and its tables counted again from the predictions alone."""

import csv
import json
import math
import re
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FIELDS = {
    *("id", "seed", "system", "perceiver", "perceiver_size", "reasoner", "reasoner_size"),
    *("category", "group", "question", "gold", "extraction", "output", "parsed", "correct"),
}
CELL = ("system", "perceiver", "perceiver_size", "reasoner", "reasoner_size")


@pytest.fixture(scope="module")
def predictions(smoke: Path) -> list[dict]:
    files = sorted((smoke / "predictions").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def rows(smoke: Path) -> list[dict]:
    return json.loads((smoke / "results.json").read_text())["rows"]


def wilson(correct: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, correct / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def test_every_prediction_holds_what_others_score(predictions: list[dict]) -> None:
    assert predictions
    for prediction in predictions:
        assert prediction.keys() >= FIELDS
    systems = {(p["system"], p["perceiver"], p["reasoner"]) for p in predictions}
    assert len(systems) == 13, "every system of the study answers"
    asked = defaultdict(list)
    for p in predictions:
        asked[tuple(p[name] for name in CELL), p["seed"]].append(p["id"])
    assert {tuple(sorted(ids)) for ids in asked.values()} == {
        tuple(sorted(next(iter(asked.values()))))
    }, "every system answers the same questions, each once"


def test_the_grid_is_whole(predictions: list[dict]) -> None:
    grid = {
        (p["perceiver_size"], p["reasoner_size"])
        for p in predictions
        if p["perceiver"] == "extract" and p["reasoner"] == "think"
    }
    assert grid == {(one, other) for one in "ab" for other in "ab"}


def test_rows_are_those_that_predictions_add_up_to(
    predictions: list[dict], rows: list[dict]
) -> None:
    counted = 0
    for row in rows:
        if row["seed"] != 0:
            continue
        mine = [
            p
            for p in predictions
            if all((p[name] or "") == (row[name] or "") for name in CELL)
            and row["category"] in ("all", p["category"])
            and row["group"] in ("all", p["group"])
        ]
        counted += 1
        correct = sum(p["correct"] for p in mine)
        assert (row["n"], row["correct"]) == (len(mine), correct)
        assert row["unparsed"] == sum(p["parsed"] is None for p in mine)
        assert row["accuracy"] == pytest.approx(correct / len(mine))
        low, high = wilson(correct, len(mine))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-9)
    assert counted > 100


def test_comparisons_are_those_that_predictions_add_up_to(
    predictions: list[dict], smoke: Path
) -> None:
    named = {("extract", "think"): "extract_think", ("caption", "think"): "caption_think"}
    right: dict[tuple[str, str], dict[tuple[str, str], bool]] = defaultdict(dict)
    for p in predictions:
        if p["perceiver_size"] and p["perceiver_size"] != p["reasoner_size"] and p["reasoner"]:
            continue
        name: str = named.get((p["perceiver"], p["reasoner"])) or p["system"]
        size: str = p["reasoner_size"] or p["perceiver_size"]
        right[name, size][p["id"], p["group"]] = p["correct"]
    found = json.loads((smoke / "comparisons.json").read_text())
    found = found["comparisons"] if isinstance(found, dict) else found
    checked = 0
    for row in found:
        first, second = (right.get((row[name], row["size"])) for name in ("first", "second"))
        if row["seed"] != 0 or not first or not second:
            continue
        same = [key for key in first if row["group"] in ("all", key[1])]
        b = sum(first[key] and not second[key] for key in same)
        c = sum(second[key] and not first[key] for key in same)
        assert (row["n"], row["b"], row["c"]) == (len(same), b, c)
        tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
        assert row["p"] == pytest.approx(min(1.0, 2 * tail))
        checked += 1
    assert checked >= 12


def test_the_table_is_the_same_as_csv(smoke: Path, rows: list[dict]) -> None:
    with (smoke / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    for line, row in zip(table, rows, strict=True):
        assert int(line["n"]) == row["n"]
        assert float(line["accuracy"]) == pytest.approx(row["accuracy"])


def test_the_report_is_one_file_that_works_offline(smoke: Path) -> None:
    page = (smoke / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page.replace("&#34;", '"'))
    assert not re.search(r"<(?:link|iframe)\b[^>]*https?:", page)
    for word in ("Extract+Think", "Limits", "seed"):
        assert word in page
    assert list(smoke.rglob("*.png"))
    assert list(smoke.rglob("events.out.tfevents.*"))
