"""Tokens of tiles become tokens of images, as in transformers' LLaVA-OneVision."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel

from mmlite.images import AnyRes
from mmlite.layout import Layout
from mmlite.models.arrange import arrange


@pytest.mark.parametrize("side", [3, 4])
def test_arranged_tokens_are_those_of_transformers(side):
    transform = AnyRes(size_px=side * 2, grid_rows=4, grid_columns=4, max_tiles=3)
    points = [[side * 2 * i, side * 2 * j] for i in range(1, 5) for j in range(1, 5)]
    vision = SimpleNamespace(image_size=side * 2, patch_size=2)
    peer: Any = SimpleNamespace(
        config=SimpleNamespace(vision_config=vision, image_grid_pinpoints=points)
    )
    rng = random.Random(0)
    newline = torch.randn(5)
    sizes = [(rng.randint(4, 60), rng.randint(4, 60)) for _ in range(20)]
    sizes += [(1000, 3), (3, 900)]  # thinner than a token
    layouts = [transform.layout(*s, num_images=1, tokens_per_tile=side**2) for s in sizes]
    layouts[3] = Layout(side)  # one of several images
    tiles = torch.randn(sum(layout.num_tiles for layout in layouts), side**2, 5)
    of_images = tiles.split([layout.num_tiles for layout in layouts])
    expected, lengths = LlavaOnevisionModel.pack_image_features(
        peer,
        of_images,
        torch.tensor(sizes),
        image_newline=newline,
        vision_aspect_ratio="anyres_max_3",
    )
    assert lengths.tolist() == [layout.num_tokens for layout in layouts]
    assert any(layout.out_width < layout.width for layout in layouts)  # some are reduced
    assert any(layout.top for layout in layouts)
    assert any(layout.left for layout in layouts)
    torch.testing.assert_close(arrange(tiles, layouts, newline), torch.cat(list(expected)))


def test_tiles_of_a_grid_keep_their_places():
    # Two tiles side by side after the first, one token each: a row, and its end.
    tiles = torch.tensor([[[9.0]], [[1.0]], [[2.0]]])
    layout = Layout(1, 1, 2, 0, 0, 1, 2, 1, 2)
    assert arrange(tiles, [layout], torch.tensor([0.5])).flatten().tolist() == [9, 1, 2, 0.5]


def test_without_layouts_tiles_follow_each_other():
    tiles = torch.randn(3, 4, 2)
    assert torch.equal(arrange(tiles, (), None), tiles.flatten(0, 1))


def test_a_projector_without_its_newline_is_refused():
    with pytest.raises(ValueError, match="the projector has no image_newline"):
        arrange(torch.randn(1, 4, 2), [Layout(2)], None)


def test_a_projector_that_puts_out_another_number_of_tokens_is_refused():
    with pytest.raises(
        ValueError, match=r"got 9 tokens of each tile .* room for 4, allowed: as ma"
    ):
        arrange(torch.randn(1, 9, 2), [Layout(2)], torch.ones(2))
