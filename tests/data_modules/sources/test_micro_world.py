"""The micro-world as a source."""

import pytest

from data_modules.sources import MicroWorld
from mmlite.microworld import caption
from mmlite.microworld.scene import PLACES, SHAPES, Scene


def captions(split: str, share: float) -> list[tuple[str, Scene]]:
    source = MicroWorld(
        num_images=200, questions_per_row=0, captions_by_shape=share, held_out_per_kind=50
    )
    rows = source.rows(split)
    examples = [rows[number][0] for number in range(min(len(rows), 400))]
    return [(str(e.caption), Scene.from_json(e.scene or {})) for e in examples]


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.0, 0, 0), (0.5, 150, 250), (1.0, 400, 400)]
)
def test_a_share_of_the_training_captions_names_shapes_first(share, least, most):
    found = captions("train", share)
    by_shape = [told for told, _ in found if told.split()[0] in SHAPES]
    assert least <= len(by_shape) <= most
    usual = [(told, scene) for told, scene in found if told.split()[0] in PLACES]
    assert len(usual) == len(found) - len(by_shape)
    assert all(told == caption(scene) for told, scene in usual)
    assert captions("train", share) == found


@pytest.mark.parametrize("split", ["validation", "test"])
def test_captions_held_out_are_the_usual_ones(split):
    assert all(told == caption(scene) for told, scene in captions(split, 1.0))


def test_rows_of_one_picture_have_other_orders_of_shapes():
    source = MicroWorld(num_images=5, questions_per_row=0, captions_by_shape=1.0, rows_per_image=9)
    rows = source.rows("train")
    told = {rows[number][0].caption for number in range(0, len(rows), 5)}  # all of one picture
    assert len(told) > 1


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"captions_by_shape 1\.5, allowed: 0 to 1"):
        MicroWorld(captions_by_shape=1.5, questions_per_row=0)


def test_captions_by_shape_beside_questions_are_refused():
    with pytest.raises(ValueError, match=r"captions_by_shape 0\.5 with questions_per_row 4"):
        MicroWorld(captions_by_shape=0.5)
