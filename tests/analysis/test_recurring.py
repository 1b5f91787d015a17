"""Questions that several seeds are asked: known no better than by asking them once."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_study import make_study_folder
from test_consistency import made_falls, prediction, whole_clusters

from mmlite.analysis import make_report
from mmlite.analysis.charts.need import need_chart
from mmlite.analysis.comparisons import comparison_rows
from mmlite.analysis.fidelity import fidelity_rows
from mmlite.analysis.findings import measure_findings
from mmlite.analysis.intervals import bootstrap_mean, wilson
from mmlite.analysis.outcomes import Outcomes, load_predictions, order_outcomes
from mmlite.analysis.study import Size, Study
from mmlite.analysis.tables import result_rows
from mmlite.records import Prediction

STUDY = Study(about={}, sizes=(), groups={}, gallery=())


def in_seeds(
    predictions: Sequence[Prediction], number: int, *, own_pictures: bool = False
) -> list[Prediction]:
    """Copy predictions into so many seeds, each with the same pictures or with its own."""
    return [
        dataclasses.replace(p, seed=seed, scene={"objects": [], "seed": own_pictures and seed})
        for p in predictions
        for seed in range(number)
    ]


def alone(predictions: Sequence[Prediction]) -> list[Prediction]:
    return [dataclasses.replace(p, cluster="") for p in predictions]


def nine_points() -> list[Prediction]:
    """Two systems on 200 questions: 68 that only the first got right, 50 only the second."""
    rights = [(True, False)] * 68 + [(False, True)] * 50 + [(True, True)] * 82
    made = []
    for number, right in enumerate(rights):
        for system, correct in zip(("extract_think", "end_to_end"), right, strict=True):
            made.append(prediction(number, 0, correct=correct, system=system))
    return alone(made)


def pooled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["seed"] == "all" and row.get("category", "all") == "all")


def outcomes_of(predictions: Sequence[Prediction], *sizes: str) -> Outcomes:
    study = Study(about={}, sizes=tuple(Size(name) for name in sizes), groups={}, gallery=())
    return order_outcomes(predictions, study)


@pytest.mark.parametrize("number", [3, 10])
def test_an_answer_copied_into_other_seeds_says_nothing_new(number: int) -> None:
    once = pooled(comparison_rows(outcomes_of(in_seeds(nine_points(), 1))))
    often = pooled(comparison_rows(outcomes_of(in_seeds(nine_points(), number))))
    assert once["difference"] == often["difference"] == pytest.approx(0.09)
    assert often["ci_low"] == pytest.approx(once["ci_low"], abs=0.01)
    assert often["ci_high"] == pytest.approx(once["ci_high"], abs=0.01)
    assert (once["test"], often["test"]) == ("mcnemar", "bootstrap")
    assert 0.05 < often["p"] < 0.15
    assert (often["n"], often["questions"]) == (200 * number, 200)
    (finding,) = measure_findings(outcomes_of(in_seeds(nine_points(), number)))[0]
    assert (finding.holds, finding.n, finding.questions) == ("unclear", 200 * number, 200)


def test_questions_about_other_pictures_are_other_questions() -> None:
    rows = comparison_rows(outcomes_of(in_seeds(nine_points(), 3, own_pictures=True)))
    row = pooled(rows)
    assert (row["test"], row["n"], "questions" in row) == ("mcnemar", 600, False)
    assert row["p"] < 0.01


def test_each_seed_of_its_own_is_as_it_was() -> None:
    answers = nine_points()
    rows = comparison_rows(outcomes_of(in_seeds(answers, 3)))
    expected, own = (
        [row for row in found if row["seed"] == 1]
        for found in (comparison_rows(outcomes_of(in_seeds(answers, 3, own_pictures=True))), rows)
    )
    assert [row.pop("questions") for row in own] == [200]
    assert own == expected


def test_accuracy_of_three_seeds_is_known_as_of_one() -> None:
    answers = [p for p in nine_points() if p.system == "end_to_end"]
    row = pooled(result_rows(outcomes_of(in_seeds(answers, 3))))
    assert (row["n"], row["questions"], row["interval"]) == (600, 200, "bootstrap")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(wilson(132, 200), abs=0.01)
    right = [dataclasses.replace(p, correct=True) for p in answers]
    row = pooled(result_rows(outcomes_of(in_seeds(right, 3))))
    assert row["interval"] == "wilson over questions"
    assert (row["ci_low"], row["ci_high"]) == wilson(200, 200)


def test_accuracies_of_own_pictures_are_drawn_within_seeds() -> None:
    answers = alone(whole_clusters(40))
    row = pooled(result_rows(outcomes_of(in_seeds(answers, 3, own_pictures=True))))
    values = np.array([p.correct for p in sorted(answers, key=lambda p: p.id)], dtype=float)
    (key,) = outcomes_of(answers).by_key
    expected = bootstrap_mean([values] * 3, key=f"{key}, nlvr, all")
    assert (row["ci_low"], row["ci_high"]) == expected


def test_clusters_of_three_seeds_are_those_of_one() -> None:
    once, often = (
        pooled(result_rows(outcomes_of(in_seeds(whole_clusters(40), n)))) for n in (1, 3)
    )
    assert (often["n"], often["questions"], often["clusters"]) == (720, 240, 40)
    assert often["interval"] == "cluster bootstrap"
    for name in ("ci_low", "ci_high", "consistency_ci_low", "consistency_ci_high"):
        assert often[name] == pytest.approx(once[name], abs=0.03)
    assert often["consistency"] == once["consistency"] == 0.5


def test_all_clusters_right_in_every_seed_are_as_many_as_there_are() -> None:
    right = [dataclasses.replace(p, correct=True) for p in whole_clusters(40)]
    row = pooled(result_rows(outcomes_of(in_seeds(right, 3))))
    assert (row["ci_low"], row["ci_high"]) == wilson(40, 40)
    assert (row["consistency_ci_low"], row["consistency_ci_high"]) == wilson(40, 40)


def test_clusters_of_one_name_and_other_content_stay_apart() -> None:
    rows = result_rows(outcomes_of(in_seeds(whole_clusters(40), 3, own_pictures=True)))
    row = pooled(rows)
    assert (row["clusters"], "questions" in row) == (120, False)
    assert (row["consistency_ci_low"], row["consistency_ci_high"]) == wilson(60, 120)


def test_clusters_that_share_a_question_are_drawn_together() -> None:
    rows = [
        prediction(0, 0, correct=True),
        dataclasses.replace(prediction(0, 0, correct=True), seed=1, cluster="other"),
        dataclasses.replace(prediction(0, 1, correct=True), seed=1, cluster="other"),
        dataclasses.replace(prediction(9, 0, correct=True), seed=1, cluster="test-0"),
        dataclasses.replace(prediction(8, 0, correct=True), seed=1, cluster=""),
    ]
    outcomes = outcomes_of(rows)
    (key,) = outcomes.by_key
    found = outcomes.questions.clusters(outcomes.select(key))
    assert found is not None
    ids = [p.id for p in outcomes.select(key)[1]]
    names = dict(zip(ids, found[1], strict=True))
    assert names["test-0-0-0"] == names["test-0-0-1"] == found[0][0]
    assert names["test-9-0-0"] not in ("", found[0][0])
    assert names["test-8-0-0"] == ""


@pytest.mark.parametrize("clustered", [True, False])
def test_findings_fidelity_and_needs_are_known_no_better_by_asking_in_three_seeds(
    clustered: bool,
) -> None:
    made = made_falls(1) if clustered else alone(made_falls(1))
    once, often = (outcomes_of(in_seeds(made, number), "s", "l") for number in (1, 3))
    found, again = (measure_findings(outcomes)[0] for outcomes in (once, often))
    assert {"vision_falls_most", "perception_falls"} <= {finding.finding for finding in found}
    for first, second in zip(found, again, strict=True):
        assert (second.n, second.questions) == (3 * first.n, first.n)
        assert (second.ci_low, second.ci_high) == pytest.approx(
            (first.ci_low, first.ci_high), abs=0.03
        )
    charts = [need_chart(outcomes) for outcomes in (once, often)]
    ends = [[(p.x_interval, p.y_interval) for p in chart.points] for chart in charts if chart]
    assert np.array(ends[0]) == pytest.approx(np.array(ends[1]), abs=0.03)
    first, second = (pooled(fidelity_rows(outcomes)) for outcomes in (once, often))
    assert (second["n"], second["questions"]) == (3 * first["n"], first["n"])
    assert second["f1_ci_low"] == pytest.approx(first["f1_ci_low"], abs=0.02)


def test_a_report_says_how_many_questions_its_answers_are_to(reported_seeds: Path) -> None:
    page = (reported_seeds / "report.html").read_text()
    content = json.loads((reported_seeds / "results.json").read_text())
    row = pooled(content["rows"])
    assert row["n"] == 2 * row["questions"] == 48
    assert "48<small>24 questions</small>" in page
    assert "n = 48 to 24 questions" in page
    assert "54 questions, 2 seeds" in page
    assert "within each seed" not in page + str(content["meta"]["notes"])
    with (reported_seeds / "results.csv").open() as file:
        assert list(next(csv.DictReader(file))) == list(row)


def test_a_report_of_own_pictures_says_nothing_of_it(tmp_path: Path) -> None:
    folder = make_study_folder(tmp_path / "study", seeds=(0, 1), per_kind=2, own_pictures=True)
    page = make_report(folder).read_text()
    assert "36 questions, 2 seeds" in page
    assert "within each seed" in page
    assert all(p.scene for p in load_predictions(folder))
    for name in ("results.json", "comparisons.json"):
        assert '"questions": ' not in (folder / name).read_text()


def test_a_system_without_scenes_is_asked_the_same_questions() -> None:
    whole = in_seeds(nine_points(), 2, own_pictures=True)
    parts = [dataclasses.replace(p, scene=None) if p.system == "end_to_end" else p for p in whole]
    for order in (parts, parts[::-1]):
        assert pooled(comparison_rows(outcomes_of(order)))["test"] == "mcnemar"
