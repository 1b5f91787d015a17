import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from mmlite.analysis.comparisons import compare
from mmlite.analysis.fidelity import f1_of_sums, measure
from mmlite.analysis.findings import TITLES, verdict
from mmlite.analysis.outcomes import Pairs


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "comparisons.json").read_text())


def answers(folder: Path, system: str, size: str, group: str) -> dict[str, bool]:
    lines = [
        json.loads(line)
        for path in (folder / "predictions").iterdir()
        for line in path.read_text().splitlines()
    ]
    return {
        p["id"]: p["correct"]
        for p in lines
        if p["system"] == system
        and p["group"] == group
        and {p["perceiver_size"], p["reasoner_size"]} == {size}
    }


def test_comparisons_equal_an_independent_recount(reported: Path) -> None:
    rows = [row for row in read(reported)["comparisons"] if row["seed"] == "all"]
    assert len(rows) == 5 * 4 * 3
    for row in rows[::5]:
        first = answers(reported, row["first"], row["size"], row["group"])
        second = answers(reported, row["second"], row["size"], row["group"])
        b = sum(first[name] and not second[name] for name in first)
        c = sum(second[name] and not first[name] for name in first)
        assert (row["n"], row["b"], row["c"]) == (len(first), b, c)
        assert row["difference"] == pytest.approx((b - c) / len(first))
        assert row["p"] == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0)
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]


def test_compare_by_hand() -> None:
    pairs = {0: np.array([[1, 0], [1, 0], [0, 1], [1, 1]]), 1: np.array([[1, 0], [0, 0]])}
    result = compare(Pairs(pairs, None, {}), key="by hand")
    assert (result["n"], result["b"], result["c"]) == (6, 3, 1)
    assert result["difference"] == pytest.approx(1 / 3)
    assert (result["first_accuracy"], result["second_accuracy"]) == (4 / 6, 2 / 6)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((0.01, 0.3), True), ((-0.3, -0.01), False), ((-0.1, 0.1), "unclear"), ((0, 0.1), "unclear")],
)
def test_verdict(interval: tuple[float, float], expected: object) -> None:
    assert verdict(interval) == expected


def test_every_finding_is_measured_when_everything_was_run(reported: Path) -> None:
    content = read(reported)
    assert {finding["finding"] for finding in content["findings"]} == set(TITLES)
    assert content["not_measured"] == []


def test_findings_say_what_the_made_up_study_holds(reported: Path) -> None:
    found = {(f["finding"], f["group"], f["size"]): f for f in read(reported)["findings"]}
    assert found["perception_falls", "vision", "l to xs"]["holds"] is True
    assert found["extract_think_beats_end_to_end", "vision", "l"]["holds"] is True
    fall = found["vision_falls_most", "vision", "l to xs"]
    drops = {
        group: np.mean(list(answers(reported, "end_to_end", "l", group).values()))
        - np.mean(list(answers(reported, "end_to_end", "xs", group).values()))
        for group in ("vision", "language")
    }
    assert fall["difference"] == pytest.approx(drops["vision"] - drops["language"])


def test_findings_name_each_seed(reported_seeds: Path) -> None:
    for finding in read(reported_seeds)["findings"]:
        assert len(finding["per_seed"]) == 2
        assert finding["ci_low"] <= finding["difference"] <= finding["ci_high"]


def test_fidelity_by_hand() -> None:
    # found, missed, invented, true
    fidelity = measure(np.array([[2, 0, 0, 3], [1, 1, 1, 1]]))
    assert fidelity.precision == 4 / 5
    assert fidelity.recall == 3 / 4
    assert fidelity.f1 == pytest.approx(2 * 0.8 * 0.75 / 1.55)
    assert fidelity.exact == 1 / 2


def test_silence_has_no_f1_where_nothing_was_needed_and_zero_where_something_was() -> None:
    f1 = f1_of_sums(np.array([[0, 0, 0, 0], [0, 3, 0, 0], [0, 3, 2, 0]]))
    assert np.isnan(f1[0])
    assert list(f1[1:]) == [0.0, 0.0]
    assert measure(np.array([[0, 3, 0, 0]])).f1 == 0
    assert measure(np.array([[0, 0, 0, 0]])).f1 is None
