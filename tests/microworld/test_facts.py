"""Facts: found, true, invented and missed."""

import pytest

from mmlite.microworld.facts import FactScore, judge_clauses, score_facts
from mmlite.microworld.scene import Object, Scene

SCENE = Scene(
    (
        Object("circle", "red", "large", "7", "top-left"),
        Object("star", "blue", "small", "3", "center"),
    )
)
GOLD = "circle 7. star 3."


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (GOLD, FactScore(found=2, true=2)),
        ("star 3. circle 7.", FactScore(found=2, true=2)),
        ("circle 7. circle 7.", FactScore(found=1, missed=1, true=1)),
        ("circle 8. star 3.", FactScore(found=1, missed=1, invented=1, true=1)),
        ("circle 7. star 3. star blue.", FactScore(found=2, true=3)),
        ("top-left 7. center 3.", FactScore(found=2, true=2)),
        ("cross 7.", FactScore(missed=2, invented=1)),
        ("bottom-left red.", FactScore(missed=2, invented=1)),
        ("", FactScore(missed=2)),
    ],
)
def test_facts_are_counted(text, score):
    assert score_facts(text, GOLD, SCENE) == score


def test_ratios_and_their_undefined_cases():
    score = FactScore(found=1, missed=1, invented=1, true=3)
    assert score.recall == 0.5
    assert score.precision == 0.75
    assert score.f1 == pytest.approx(0.6)
    assert FactScore(missed=1).precision is None
    assert FactScore(true=1).recall is None
    assert FactScore(missed=1).f1 == 0
    assert FactScore(true=1).f1 is None
    assert FactScore(missed=1, invented=1).f1 == 0


def test_counts_add_up():
    total = FactScore(1, 2, 3, 4) + FactScore(10, 20, 30, 40)
    assert total.to_json() == {"found": 11, "missed": 22, "invented": 33, "true": 44}


def test_clauses_are_judged_one_by_one():
    judged = judge_clauses("circle 7. center blue. cross 5.", GOLD, SCENE)
    assert judged == [
        ("circle 7", "found"),
        ("center blue", "true"),
        ("cross 5", "invented"),
        ("star 3", "missed"),
    ]
