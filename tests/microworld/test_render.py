"""Pictures: determinism, and that every attribute is to be seen."""

import random
from dataclasses import replace

import numpy as np
import pytest

from mmlite.microworld.render import RGB, Picture, render
from mmlite.microworld.scene import (
    COLORS,
    DIGITS,
    PLACES,
    SHAPES,
    Object,
    Scene,
    WorldConfig,
    draw_scene,
)

CALM = WorldConfig(noise=0, shading=0, color_jitter=0, jitter_px=0)
OBJECT = Object("square", "red", "large", None, "center")


def picture_of(obj: Object, config: WorldConfig = CALM) -> np.ndarray:
    return render(Picture(Scene((obj,)), 0, config)).astype(int)


def test_equal_pictures_render_to_equal_pixels():
    scene = draw_scene(random.Random(0), WorldConfig())
    picture = Picture(scene, 7, WorldConfig())
    pixels = render(picture)
    assert pixels.shape == (60, 60, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, render(Picture.from_json(picture.to_json())))
    assert not np.array_equal(pixels, render(replace(picture, seed=8)))


@pytest.mark.parametrize("place", PLACES)
def test_objects_are_where_they_belong(place):
    row, column = divmod(PLACES.index(place), 3)
    pixels = picture_of(replace(OBJECT, place=place))
    differs = np.abs(pixels - picture_of(replace(OBJECT, place=place, color="green"))).sum(axis=2)
    rows, columns = np.nonzero(differs)
    assert {*(rows // 20)} == {row}
    assert {*(columns // 20)} == {column}


@pytest.mark.parametrize("color", COLORS)
def test_the_middle_of_an_object_has_its_color(color):
    pixels = picture_of(replace(OBJECT, color=color))
    assert np.abs(pixels[30, 30] - RGB[color]).max() <= 1


def test_shapes_sizes_and_digits_all_look_different():
    objects = [replace(OBJECT, shape=s, size=z) for s in SHAPES for z in ("small", "large")]
    objects += [replace(OBJECT, digit=digit) for digit in DIGITS]
    seen = {picture_of(obj).tobytes() for obj in objects}
    assert len(seen) == len(SHAPES) * 2 + len(DIGITS)


def test_small_is_smaller_than_large():
    background = np.median(picture_of(OBJECT), axis=(0, 1))
    inked = {
        size: (np.abs(picture_of(replace(OBJECT, size=size)) - background).sum(axis=2) > 30).sum()
        for size in ("small", "large")
    }
    assert inked["small"] < 0.7 * inked["large"]


def test_jitter_shifts_and_cuts_off_what_leaves_the_place():
    obj = replace(OBJECT, place="top-left")
    config = replace(CALM, jitter_px=15)
    shifted = [render(Picture(Scene((obj,)), seed, config)).astype(int) for seed in range(60)]
    red = [(pixels[..., 0] - pixels[..., 1]) > 90 for pixels in shifted]
    assert not any(mask[20:].any() or mask[:, 20:].any() for mask in red)
    assert len({mask.tobytes() for mask in red}) > 30
    for mask in red:
        rows, columns = np.nonzero(mask)
        # One rectangle: nothing that left on one side came back on the other.
        assert mask.sum() == len(set(rows)) * len(set(columns))
        assert all(np.ptp(axis) + 1 == len(set(axis)) for axis in (rows, columns) if len(axis))


def test_noise_shading_and_occlusion_change_the_picture():
    calm = picture_of(OBJECT)
    assert calm[:20].std(axis=(0, 1)).max() < 1
    assert picture_of(OBJECT, replace(CALM, noise=12))[:20].std() > 5
    assert picture_of(OBJECT, replace(CALM, shading=200))[:20].std() > 5
    covered = picture_of(OBJECT, replace(CALM, occlusion=1))
    assert not np.array_equal(covered[20:40, 20:40], calm[20:40, 20:40])
