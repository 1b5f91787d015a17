"""Descriptions: writing them and reading them back."""

import random

from mmlite.microworld.descriptions import (
    caption,
    caption_by_shape,
    full_description,
    look_up,
    read_clauses,
    sentence,
)
from mmlite.microworld.scene import Object, Scene

SCENE = Scene(
    (
        Object("circle", "red", "large", "7", "top-left"),
        Object("star", "blue", "small", "3", "center"),
    )
)


def test_full_description_tells_everything():
    text = full_description(SCENE)
    assert text == "top-left large red circle 7. center small blue star 3."
    clauses = read_clauses(text)
    read = tuple(
        Object(c.values["shape"], c.values["color"], c.values["size"], c.values["digit"], place)
        for c in clauses
        if (place := c.values["place"])
    )
    assert read == SCENE.objects


def test_caption_leaves_out_details_of_small_objects_and_whole_objects():
    assert caption(SCENE) == "top-left large red circle 7. center blue star."
    shapes = ("circle", "square", "star", "cross", "diamond")
    places = ("top-left", "top-middle", "top-right", "center", "bottom-left")
    many = Scene(
        tuple(
            Object(shape, "red", "small" if shape == "circle" else "large", None, place)
            for shape, place in zip(shapes, places, strict=True)
        )
    )
    assert "circle" not in caption(many)
    assert caption(many).count(".") == 4


def test_a_caption_by_shape_tells_the_same_in_another_order():
    told = {caption_by_shape(SCENE, random.Random(seed)) for seed in range(20)}
    assert told == {
        "circle top-left large red 7. star center blue.",
        "star center blue. circle top-left large red 7.",
    }


def test_any_text_can_be_read():
    assert read_clauses("") == []
    assert read_clauses("hello there. what?") == []
    (clause,) = read_clauses("The CIRCLE at Top-Left is red and blue;")
    assert clause.values == {"shape": "circle", "place": "top-left", "color": "red"}
    assert clause.anchor == "circle"


def test_look_up_takes_the_first_clause_that_states_it():
    clauses = read_clauses("circle red. circle 7. circle 8.")
    assert look_up(clauses, "shape", "circle", "digit") == "7"
    assert look_up(clauses, "shape", "circle", "place") is None
    assert look_up(clauses, "shape", "star", "digit") is None


def test_sentence_leaves_out_what_is_missing():
    assert sentence("circle", None, "7") == "circle 7."
