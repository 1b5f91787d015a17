"""NLVR's descriptions: what is written can be read back, and extractions keep what is asked."""

import random

import pytest
from made_nlvr import item, made_records, tower

from mmlite.nlvr import WORDS, BoxScene, describe, extract
from mmlite.nlvr.descriptions import Seen, place_of, read
from mmlite.nlvr.scene import BOXES, ORDERS
from mmlite.nlvr.vocabulary import VOCABULARY

SCATTERED = [
    [item("blue", "circle", 10, 5, 2)],
    [item("black", "square", 30, 70, 70), item("yellow", "circle", 20, 40, 41)],
    [],
]


def boxes(structured: list) -> BoxScene:
    return BoxScene.from_corpus(structured)


def test_a_tower_from_the_base_up() -> None:
    scene = boxes([tower("blue", "blue", "yellow"), tower("black"), tower("yellow", "black")])
    assert describe(scene) == (
        "left tower blue blue yellow. middle tower black. right tower yellow black."
    )
    assert [seen.place for seen in read(describe(scene))] == [
        *("level-1", "level-2", "level-3"),
        *("level-1", "level-1", "level-2"),
    ]


def test_scattered_items_by_place_in_reading_order() -> None:
    assert describe(boxes(SCATTERED)) == (
        "left box top-left small blue circle. "
        "middle box center medium yellow circle, "
        "bottom-right large black square touching right bottom. "
        "right box none."
    )


@pytest.mark.parametrize("seed", range(20))
def test_what_is_described_is_read_back(seed: int) -> None:
    record = made_records(2, seed=seed)[2]
    scene = BoxScene.from_corpus(record["structured_rep"], random.Random(seed).randrange(6))
    expected = [
        Seen(name, place_of(i), i.size, i.color, i.shape, i.touching)
        for name, box in zip(BOXES, scene.boxes, strict=True)
        for i in box
    ]
    assert sorted(read(describe(scene)), key=str) == sorted(expected, key=str)
    words = describe(scene).replace(".", " .").replace(",", " ,").split()
    assert set(words) <= set(WORDS) <= set(VOCABULARY)


def test_equal_pictures_have_equal_texts() -> None:
    pair = [item("blue", "circle", 10, 0, 0), item("blue", "circle", 10, 20, 20)]
    assert describe(boxes([pair, [], []])) == describe(boxes([pair[::-1], [], []]))


def test_any_text_can_be_read() -> None:
    assert read("") == []
    assert read("right box none. nonsense, and more") == []
    assert read("LEFT box blue thing") == [Seen("left", None, None, "blue", None)]
    assert read("center circle touching top left") == [
        Seen(None, "center", None, None, "circle", ("left", "top"))
    ]


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("There is a blue circle", "left box top-left small blue circle. middle box none."),
        (
            "There is a circle",
            "left box top-left small blue circle. middle box center medium yellow circle.",
        ),
        ("There are two yellow triangles", "left box none. middle box none."),
    ],
)
def test_an_extraction_keeps_what_the_sentence_names(sentence: str, kept: str) -> None:
    assert extract(boxes(SCATTERED), sentence) == f"{kept} right box none."


@pytest.mark.parametrize(
    "sentence", ["There are 3 items", "One box is different", "There is only one blue circle", ""]
)
def test_an_extraction_keeps_everything_where_words_do_not_say(sentence: str) -> None:
    scene = boxes(SCATTERED)
    assert extract(scene, sentence) == describe(scene)


def test_towers_are_described_whole() -> None:
    scene = boxes([tower("blue"), tower("black", "blue"), []])
    assert extract(scene, "There is a yellow block") == describe(scene)


def test_a_scene_comes_back_from_json_and_orders_are_all_six() -> None:
    scene = boxes(SCATTERED)
    assert BoxScene.from_json(scene.to_json()) == scene
    assert len(set(ORDERS)) == 6
    assert ORDERS[0] == (0, 1, 2)
