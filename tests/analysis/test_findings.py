import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from test_consistency import STUDY, prediction

from mmlite.analysis.comparisons import compare
from mmlite.analysis.fidelity import f1_of_sums, measure
from mmlite.analysis.findings import TITLES, measure_findings, verdict
from mmlite.analysis.headline import headline
from mmlite.analysis.outcomes import Pairs, order_outcomes
from mmlite.analysis.study import Size, Study
from mmlite.analysis.tables import Table, result_rows
from mmlite.records import Prediction


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
    ("interval", "p", "expected"),
    [
        ((0.01, 0.3), 0.01, True),
        ((-0.3, -0.01), 0.01, False),
        ((-0.1, 0.1), 0.01, "unclear"),
        ((0, 0.1), 0.01, "unclear"),
        ((0.01, 0.3), 0.05, "unclear"),
        ((-0.3, -0.01), 0.06, "unclear"),
    ],
)
def test_verdict(interval: tuple[float, float], p: float, expected: object) -> None:
    assert verdict(interval, p) == expected


def made_pairs(rights: Sequence[tuple[bool, bool]], *, cluster: str = "") -> list[Prediction]:
    """Answers of Extract+Think and end-to-end to a few questions, one pair each."""
    return [
        dataclasses.replace(
            prediction(number, 0, correct=correct, system=system),
            cluster=cluster and f"{cluster}-{number}",
        )
        for number, pair in enumerate(rights)
        for system, correct in zip(("extract_think", "end_to_end"), pair, strict=True)
    ]


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("cluster", ["", "cluster"])
@pytest.mark.parametrize(
    ("wins", "others", "p", "holds"),
    [
        (1, 0, 1.0, "unclear"),
        (5, 0, 0.0625, "unclear"),
        (4, 96, 0.125, "unclear"),
        (6, 0, 0.03125, True),
    ],
)
def test_few_questions_do_not_make_a_finding_hold(
    seeds: int, cluster: str, wins: int, others: int, p: float, holds: bool | str
) -> None:
    made = made_pairs([(True, False)] * wins + [(True, True)] * others, cluster=cluster)
    copies = [dataclasses.replace(answer, seed=seed) for answer in made for seed in range(seeds)]
    (finding,) = measure_findings(order_outcomes(copies, STUDY))[0]
    assert finding.ci_low > 0 or others
    assert finding.p == pytest.approx(p, abs=0.005 if others else 1e-9)
    assert finding.holds == holds


def test_a_headline_says_why_a_clear_interval_is_not_enough() -> None:
    outcomes = order_outcomes(made_pairs([(True, False)] * 5), STUDY)
    findings, _ = measure_findings(outcomes)
    table = Table(result_rows(outcomes))
    sentence, _ = headline(outcomes, STUDY, table=table, findings=findings)
    assert "cannot be told from end-to-end (+100.0 points" in sentence
    assert "p = 0.062)" in sentence


def test_facts_of_one_question_do_not_make_a_finding_hold() -> None:
    sizes = tuple(Size(name) for name in ("s", "l"))
    study = Study(about={}, sizes=sizes, groups={}, gallery=())
    made = [
        dataclasses.replace(
            prediction(0, 0, correct=size == "l", system="extract_think"),
            perceiver="extract",
            perceiver_size=size,
            reasoner_size=size,
        )
        for size in ("s", "l")
    ]
    found = {f.finding: f for f in measure_findings(order_outcomes(made, study))[0]}
    fall = found["perception_falls"]
    assert (fall.difference, fall.ci_low, fall.p, fall.holds) == (1.0, 1.0, 1.0, "unclear")


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
