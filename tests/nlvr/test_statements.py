"""Generated statements: their truth is recounted here from the written description alone."""

import random
import re
from collections.abc import Callable

import pytest

from data_modules.sources import NLVRStatements
from mmlite.nlvr import describe, draw_statement
from mmlite.nlvr.draw import draw_scene
from mmlite.nlvr.scene import BoxScene, is_tower
from mmlite.nlvr.vocabulary import VOCABULARY

COLOR = "(yellow|black|blue)"
AMOUNT = r"(exactly |only |at least |at most |)(\w+)"
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def holds(found: int, quantifier: str, number: str) -> bool:
    if number in ("a", "no"):
        return found >= 1 if number == "a" else found == 0
    wanted = NUMBERS[number] if number in NUMBERS else int(number)
    if quantifier.strip() == "at least":
        return found >= wanted
    return found <= wanted if quantifier.strip() == "at most" else found == wanted


def boxes_of(text: str) -> list[str]:
    return [part.strip() for part in text.split(".") if part.strip()]


RECOUNTS: dict[str, Callable[[str, str], int]] = {
    rf"{AMOUNT} {COLOR} blocks?": lambda text, color: len(re.findall(color, text)),
    rf"{AMOUNT} towers? (?:with|that has) a {COLOR} block (?:at|as) the base": (
        lambda text, color: text.count(f"tower {color}")
    ),
    rf"{AMOUNT} towers? with a {COLOR} block at the top": (
        lambda text, color: text.count(f"{color}.")
    ),
    rf"{AMOUNT} {COLOR} (?:items?|objects?)": lambda text, color: len(
        re.findall(rf"{color} (?:circle|square|triangle)", text)
    ),
    rf"{AMOUNT} {COLOR} circles? (?:closely )?touching the (?:wall|edge)": (
        lambda text, color: text.count(f"{color} circle touching")
    ),
    rf"{AMOUNT} box(?:es)? with only {COLOR} items": lambda text, color: sum(
        {*re.findall(COLOR, box)} == {color} for box in boxes_of(text)
    ),
}


@pytest.fixture(scope="module")
def drawn() -> list[tuple[BoxScene, str, bool]]:
    rng = random.Random(0)
    return [draw_statement(rng) for _ in range(2000)]


@pytest.mark.parametrize("pattern", RECOUNTS)
def test_the_truth_is_what_a_recount_finds(
    pattern: str, drawn: list[tuple[BoxScene, str, bool]]
) -> None:
    checked = {True: 0, False: 0}
    for scene, text, truth in drawn:
        match = re.fullmatch(f"there (?:is|are) {pattern}", text)
        if match:
            quantifier, number, color = match.groups()
            found = RECOUNTS[pattern](describe(scene), color)
            assert holds(found, quantifier, number) == truth, (text, describe(scene))
            checked[truth] += 1
    assert min(checked.values()) >= 2, checked


def test_half_are_true_and_words_are_known(drawn: list[tuple[BoxScene, str, bool]]) -> None:
    assert 900 < sum(truth for *_, truth in drawn) < 1100
    words = {word for _, text, _ in drawn for word in text.split()}
    assert words <= set(VOCABULARY)
    singular = [text for _, text, _ in drawn if text.startswith("there is ")]
    assert all(re.match(r"there is (\w+ ){0,2}?(a|no|one|1) ", text) for text in singular)


def test_scenes_are_like_those_of_the_corpus() -> None:
    rng = random.Random(2)
    assert all(is_tower(box) for _ in range(50) for box in draw_scene(rng, towers=True).boxes)
    boxes = [box for _ in range(50) for box in draw_scene(rng, towers=False).boxes]
    assert {len(box) for box in boxes} >= {1, 5, 7}
    items = [item for box in boxes for item in box]
    assert all(0 <= at <= 100 - item.width for item in items for at in (item.x, item.y))
    touching = sum(bool(item.touching) for item in items) / len(items)
    assert 0.25 < touching < 0.55


def test_rows_are_the_same_whenever_they_are_read() -> None:
    source, again = NLVRStatements(num_items=50), NLVRStatements(num_items=50)
    rows = source.rows("train")
    assert len(rows) == 50
    assert [rows[7], rows[3]] == [again.rows("train")[7], again.rows("train")[3]]
    assert rows[0] != source.rows("validation")[0]
    example = rows[0][0]
    assert example.turns[0].text == f"{example.caption} {example.question} answer."
    assert example.turns[1].text in ("yes", "no")
    with pytest.raises(ValueError, match="got split 'dev', allowed: train, validation, test"):
        source.rows("dev")
    with pytest.raises(ValueError, match="got num_items 0, held_out_items 500, allowed: 1 or more"):
        NLVRStatements(num_items=0)
