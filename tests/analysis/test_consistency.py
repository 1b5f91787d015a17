"""Clusters of dependent questions: consistency, and intervals that respect them."""

from pathlib import Path

import numpy as np
import pytest
from made_nlvr import made_records, write_corpus

from data_modules.sources import NLVR
from mmlite.analysis.charts.need import need_chart
from mmlite.analysis.comparisons import comparison_rows
from mmlite.analysis.fidelity import fidelity_rows
from mmlite.analysis.findings import measure_findings
from mmlite.analysis.intervals import bootstrap_mean, cluster_sums, wilson
from mmlite.analysis.outcomes import order_outcomes
from mmlite.analysis.study import Size, Study
from mmlite.analysis.tables import result_rows
from mmlite.nlvr import answers_of, score
from mmlite.records import Prediction

STUDY = Study(about={}, sizes=(), groups={}, gallery=())


def prediction(
    cluster: int, number: int, *, correct: bool, system: str = "end_to_end"
) -> Prediction:
    return Prediction(
        id=f"test-{cluster}-0-{number}",
        seed=0,
        system=system,
        perceiver=system,
        perceiver_size="d",
        reasoner=system,
        reasoner_size="d",
        category="tower",
        group="nlvr",
        question="",
        gold=("yes",),
        output="",
        parsed="yes" if correct else "no",
        correct=correct,
        facts={"found": int(correct), "missed": int(not correct), "invented": 0, "true": 1},
        cluster=f"test-{cluster}",
    )


def whole_clusters(number: int, *, system: str = "end_to_end") -> list[Prediction]:
    """Six answers each, all right in the even clusters and all wrong in the odd ones."""
    return [
        prediction(cluster, order, correct=cluster % 2 == 0, system=system)
        for cluster in range(number)
        for order in range(6)
    ]


def row_of(predictions: list[Prediction]) -> dict:
    rows = result_rows(order_outcomes(predictions, STUDY))
    return next(row for row in rows if row["category"] == "all" and row["seed"] == "all")


def test_sums_by_cluster_with_the_number_of_questions() -> None:
    values = np.array([[1.0], [0.0], [1.0], [1.0]])
    sums = cluster_sums(values, ["a", "b", "a", ""])
    assert sums.tolist() == [[2, 2], [0, 1], [1, 1]]
    assert cluster_sums(values, ["", "", "", ""]).tolist() == [[1, 1], [0, 1], [1, 1], [1, 1]]


def test_six_equal_answers_count_as_one() -> None:
    row = row_of(whole_clusters(40))
    assert (row["n"], row["clusters"], row["interval"]) == (240, 40, "cluster bootstrap")
    # As wide as 40 independent answers make it, not 240.
    low, high = wilson(20, 40)
    assert row["ci_low"] == pytest.approx(low, abs=0.03)
    assert row["ci_high"] == pytest.approx(high, abs=0.03)
    narrow = wilson(120, 240)
    assert row["ci_high"] - row["ci_low"] > 2 * (narrow[1] - narrow[0])
    assert (row["consistency"], row["accuracy"]) == (0.5, 0.5)
    assert (row["consistency_ci_low"], row["consistency_ci_high"]) == (low, high)


def test_one_mistake_breaks_a_cluster() -> None:
    found = whole_clusters(4)
    found[0] = prediction(0, 0, correct=False)
    row = row_of(found)
    assert row["consistency"] == 0.25
    assert row["accuracy"] == pytest.approx(11 / 24)


def test_all_right_is_known_as_well_as_the_clusters_are_many() -> None:
    row = row_of([prediction(c, order, correct=True) for c in range(40) for order in range(6)])
    assert row["interval"] == "wilson over clusters"
    assert (row["ci_low"], row["ci_high"]) == wilson(40, 40)


def test_independent_questions_have_no_consistency() -> None:
    alone = [Prediction.from_json({**p.to_json(), "cluster": ""}) for p in whole_clusters(40)]
    row = row_of(alone)
    assert (row["interval"], row["clusters"], row["consistency"]) == ("wilson", None, None)
    assert (row["ci_low"], row["ci_high"]) == wilson(120, 240)


def test_clusters_of_different_sizes_weigh_by_their_questions() -> None:
    values = np.array([1.0] * 9 + [0.0])
    names = [["a"] * 9 + ["b"]]
    low, high = bootstrap_mean([values], key="k", clusters=names)
    assert (low, high) == (0.0, 1.0)  # drawing only b, or only a


def test_comparisons_and_fidelity_draw_clusters_whole() -> None:
    blind = [
        prediction(cluster, order, correct=False, system="end_to_end_blind")
        for cluster in range(40)
        for order in range(6)
    ]
    outcomes = order_outcomes(whole_clusters(40) + blind, STUDY)
    compared = next(row for row in comparison_rows(outcomes) if row["seed"] == "all")
    assert (compared["difference"], compared["test"]) == (0.5, "bootstrap")
    assert compared["ci_high"] - compared["ci_low"] > 0.25
    assert compared["p"] < 0.01
    fidelity = fidelity_rows(outcomes)[0]
    assert fidelity["f1_ci_high"] - fidelity["f1_ci_low"] > 0.15


def made_falls(copies: int) -> list[Prediction]:
    """Random answers of two sizes to 40 questions of each group, each so many times."""
    rng = np.random.default_rng(1)
    made = []
    systems = ("end_to_end", "end_to_end_blind", "extract_think")
    for system in systems:
        for size, right in (("s", 0.4), ("l", 0.8)):
            for group in ("vision", "language"):
                for number in range(40):
                    first = prediction(number, 0, correct=bool(rng.random() < right), system=system)
                    perceiver = "extract" if system == "extract_think" else system
                    of = {"perceiver": perceiver, "perceiver_size": size, "reasoner_size": size}
                    of |= {"group": group, "category": group, "cluster": f"{group}-{number}"}
                    of |= {"facts": first.facts if perceiver == "extract" else None}
                    names = [f"{group}-{number}-{copy}" for copy in range(copies)]
                    made += [
                        Prediction.from_json({**first.to_json(), **of, "id": name})
                        for name in names
                    ]
    return made


def test_findings_and_needs_are_known_no_better_by_asking_six_times() -> None:
    sizes = tuple(Size(name) for name in ("s", "l"))
    study = Study(about={}, sizes=sizes, groups={}, gallery=())
    once, often = (order_outcomes(made_falls(copies), study) for copies in (1, 6))
    found, again = (measure_findings(outcomes)[0] for outcomes in (once, often))
    names = {finding.finding for finding in found}
    assert {"vision_falls_most", "perception_falls"} <= names
    for first, second in zip(found, again, strict=True):
        assert second.n == 6 * first.n
        assert (second.difference, second.ci_low, second.ci_high, second.p) == pytest.approx(
            (first.difference, first.ci_low, first.ci_high, first.p)
        )
    charts = [need_chart(outcomes) for outcomes in (once, often)]
    intervals = [[(p.x_interval, p.y_interval) for p in chart.points] for chart in charts if chart]
    assert np.array(intervals[0]) == pytest.approx(np.array(intervals[1]))


def test_accuracy_and_consistency_equal_the_official_score(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, "test", made_records(6), pictures=False)
    labels = NLVR(str(corpus), train=None).labels("test")
    rng = np.random.default_rng(0)
    made = []
    for identifier, label in labels.items():
        cluster, example = identifier.split("-")
        for order in range(6):
            found = prediction(int(cluster), order, correct=bool(rng.random() < 0.9))
            gold = {"true": "yes", "false": "no"}[label]
            wrong = "no" if gold == "yes" else "yes"
            value = {"id": f"test-{cluster}-{example}-{order}", "gold": [gold]}
            value["parsed"] = gold if found.correct else wrong
            made.append(Prediction.from_json({**found.to_json(), **value}))
    official, row = score(answers_of(made), labels), row_of(made)
    assert row["accuracy"] == pytest.approx(official.accuracy)
    assert row["consistency"] == pytest.approx(official.consistency)
    assert (row["n"], row["clusters"]) == (official.num_pictures, official.num_sentences)
