"""AnyRes: grids, kept parts and counts of tokens, by hand and as transformers has them."""

import math
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import png
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.modeling_llava_onevision import unpad_image
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor

from mmlite.images import AnyRes, ImageTransform, image_key, image_size, open_image
from mmlite.layout import Layout
from mmlite.records import ImageRef

SIGLIP_TOKENS = 27**2


def sizes(number, *, seed=0, largest=4000):
    rng = random.Random(seed)
    edge = [(384, 384), (1, 1), (2304, 2304), (384, 768), (5000, 5000), (10, 3000), (3000, 10)]
    drawn = [(rng.randint(8, largest), rng.randint(8, largest)) for _ in range(number)]
    return edge + drawn


def layout(height, width, *, tokens=SIGLIP_TOKENS, transform=None, images=1):
    transform = transform or AnyRes()
    return transform.layout(height, width, num_images=images, tokens_per_tile=tokens)


def test_grids_are_those_of_transformers():
    points = [(384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7)]
    for size in sizes(300):
        rows, columns = AnyRes().grid(*size)
        assert (384 * rows, 384 * columns) == select_best_resolution(size, points), size


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        # A tile's worth, seen twice: 729 + 27 rows of 27 and an end each.
        (384, 384, 729 + 27 * 28),
        # 3 x 4 is 729 * 12 tokens, t = sqrt(12 / 9) = 1.155: reduced to 70 x 93 and 70 ends.
        (1152, 1536, 729 + 70 * 94),
        # 640 x 480 on 2 x 2 tiles: 54 columns, int(54 * 480 / 640) = 40 rows, 7 above and below.
        (480, 640, 729 + 40 * 55),
        # 1 x 3 tiles, nothing to leave out.
        (384, 1152, 729 + 27 * 82),
        # 6 x 6 tiles, t = 2: 81 x 81.
        (2304, 2304, 729 + 81 * 82),
    ],
)
def test_counts_of_tokens_by_hand(height, width, expected):
    assert layout(height, width).num_tokens == expected


@pytest.mark.parametrize("side", [27, 4])
def test_counts_of_tokens_are_those_of_transformers(side):
    asked: Any = SimpleNamespace(vision_aspect_ratio="anyres_max_9")
    # Of the thin ones no row or no column is left where a tile has an even number of them.
    for size in [*sizes(300, seed=1), (1000, 30), (30, 900), (300, 4)]:
        found = layout(*size, tokens=side**2)
        kept, ends = LlavaOnevisionProcessor._get_unpadded_features(
            asked, *size, side, side, found.rows, found.columns
        )
        assert found.num_tokens == side**2 + kept + ends, size
        shown = unpad_image(torch.empty(1, found.rows * side, found.columns * side), size)
        assert shown.shape[1:] == (found.height, found.width), size
        # The whole, at most 9 * 1.1 ** 2 tiles, and the ends of at most 6 tiles' rows.
        assert found.num_tokens <= (1 + 9 * 1.21) * side**2 + 6 * side


def test_a_small_map_is_reduced_to_at_least_one_token():
    thin = AnyRes(size_px=4, grid_rows=1, grid_columns=6, max_tiles=1)
    found = layout(4, 24, tokens=1, transform=thin)
    assert (found.out_height, found.out_width) == (1, 2)
    assert math.isclose(found.width / math.sqrt(6), 2.449, abs_tol=1e-3)


def test_several_images_are_seen_once_each():
    assert layout(1000, 300, images=2) == Layout(27)
    assert Layout(27).num_tokens == 730
    assert Layout(27).num_tiles == 1


@pytest.mark.parametrize("size", [(37, 90), (90, 37), (64, 64), (11, 100), (130, 200)])
def test_tiles_are_those_of_transformers(size):
    transform = AnyRes(size_px=32, grid_rows=3, grid_columns=3)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    points = [[32 * rows, 32 * columns] for rows in range(1, 4) for columns in range(1, 4)]
    peer: Any = LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32},
        image_grid_pinpoints=points,
        image_mean=list(transform.mean),
        image_std=list(transform.std),
    )
    expected = peer([[image]], return_tensors="np")["pixel_values"][0]
    tiles = transform(image, layout(*size, tokens=4, transform=transform))
    np.testing.assert_allclose(tiles, expected, atol=1e-6)
    pair = peer([[image, image]], return_tensors="np")["pixel_values"][0]
    single = transform(image, layout(*size, tokens=4, transform=transform, images=2))
    np.testing.assert_allclose(single, pair, atol=1e-6)


def test_tokens_that_make_no_square_are_refused():
    with pytest.raises(ValueError, match=r"tokens_per_tile: got 12, allowed with AnyRes: a square"):
        layout(10, 10, tokens=12)


def test_no_tiles_at_most_are_refused():
    with pytest.raises(ValueError, match=r"image\.max_tiles: got 0, allowed: 1 or more"):
        AnyRes(max_tiles=0)
    with pytest.raises(ValueError, match=r"grid 0 x 6, allowed: 1 or more"):
        AnyRes(grid_rows=0)


def test_the_size_of_an_image_is_read_without_its_pixels(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(png(1, 40)[:200])  # the head is whole, the pixels are not
    assert image_size(ImageRef(path=str(path))) == (40, 40)
    with pytest.raises(ValueError, match=r"cut\.png: cannot be read"):
        open_image(ImageRef(path=str(path)))
    with pytest.raises(ValueError, match=r"none\.png: cannot be read .*No such file"):
        image_size(ImageRef(path=str(tmp_path / "none.png")))


def test_transforms_of_another_kind_have_keys_of_their_own():
    ref = ImageRef(data=png(1))
    assert image_key(ref, AnyRes()) != image_key(ref, ImageTransform())
    assert image_key(ref, AnyRes()) != image_key(ref, AnyRes(max_tiles=4))
