"""Facts of NLVR: items as multisets, found, missed, invented or true."""

from made_nlvr import item

from mmlite.microworld import FactScore
from mmlite.nlvr import BoxScene, describe, judge_items, score_items

TWICE = item("blue", "circle", 10, 5, 5), item("blue", "circle", 10, 20, 20)
SCENE = BoxScene.from_corpus([[*TWICE], [item("black", "square", 30, 70, 70)], []])
CIRCLES = "left box top-left small blue circle, top-left small blue circle."
SQUARE = "middle box bottom-right large black square touching right bottom."


def test_the_truth_is_all_found() -> None:
    assert score_items(describe(SCENE), describe(SCENE), SCENE) == FactScore(found=3, true=3)


def test_equal_items_have_to_be_written_twice() -> None:
    once = "left box top-left small blue circle."
    assert score_items(once, CIRCLES, SCENE) == FactScore(found=1, missed=1, true=1)
    thrice = CIRCLES.removesuffix(".") + ", top-left small blue circle."
    assert score_items(thrice, CIRCLES, SCENE) == FactScore(found=2, invented=1, true=2)


def test_true_but_not_needed_and_invented() -> None:
    assert score_items(SQUARE, CIRCLES, SCENE) == FactScore(missed=2, true=1)
    wrong = SQUARE.replace("black", "yellow")
    assert score_items(wrong, SQUARE, SCENE) == FactScore(missed=1, invented=1)
    assert score_items("", SQUARE, SCENE) == FactScore(missed=1)


def test_places_may_be_left_out() -> None:
    elsewhere = SQUARE.replace("bottom-right", "center").replace(" touching right bottom", "")
    assert score_items(elsewhere, SQUARE, SCENE).invented == 1
    assert score_items(elsewhere, SQUARE, SCENE, places=False) == FactScore(found=1, true=1)


def test_each_item_is_judged_and_missed_ones_follow() -> None:
    text = f"left box top-left small blue circle. {SQUARE} right box center large blue square."
    assert judge_items(text, CIRCLES, SCENE) == [
        ("left box top-left small blue circle", "found"),
        ("middle box bottom-right large black square touching right bottom", "true"),
        ("right box center large blue square", "invented"),
        ("left box top-left small blue circle", "missed"),
    ]
    thrice = "left box " + ", ".join(["top-left small blue circle"] * 3)
    statuses = [status for _, status in judge_items(thrice, CIRCLES, SCENE)]
    assert statuses == ["found", "found", "invented"]
