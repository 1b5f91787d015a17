"""Room for images whose number of tokens depends on their size, and how they are loaded."""

# pyright: reportOptionalMemberAccess=false
# The feature caches of processors built here are known to be there.

import pytest
import torch
from tiny import png, tiny_anyres, tiny_processor

from mmlite.features import FeatureCache
from mmlite.images import AnyRes
from mmlite.layout import Layout
from mmlite.processor import Processor
from mmlite.records import Example, ImageRef, Turn


def encoded(processor, *shapes, text="what is red ?"):
    images = [ImageRef(data=png(n, *shape)) for n, shape in enumerate(shapes)]
    return processor.encode([Turn("user", "<image>" * len(images) + text)], images)


def image_tokens(processor, row):
    return row.input_ids.count(processor.image_token_id)


def test_room_is_made_by_the_size_of_an_image():
    processor = tiny_anyres()
    # Two tokens a side: 4 for the whole; the grid's map, reduced to about 4; an end to each row.
    for shape, grid, expected in [((16, 16), (1, 1), 4 + 2 * 3), ((16, 32), (1, 2), 4 + 1 * 3)]:
        row = encoded(processor, shape)
        assert (row.layouts[0].rows, row.layouts[0].columns) == grid
        assert image_tokens(processor, row) == row.layouts[0].num_tokens == expected
    several = encoded(processor, (16, 16), (16, 32))
    assert several.layouts == (Layout(2), Layout(2))
    assert image_tokens(processor, several) == 2 * (4 + 1)


def test_fixed_images_have_no_layouts():
    processor = tiny_processor()
    row = encoded(processor, (16, 40))
    assert row.layouts == ()
    assert processor.collate([row]).layouts == ()


def test_batches_hold_the_tiles_of_every_image_in_order():
    processor = tiny_anyres()
    rows = [encoded(processor, (16, 32)), encoded(processor), encoded(processor, (16, 16), (9, 40))]
    batch = processor.collate(rows)
    assert [layout.num_tiles for layout in batch.layouts] == [3, 1, 1]
    assert processor.num_images(batch) == 3
    assert batch.pixels.shape == (5, 3, 16, 16)
    assert batch.tile_order.tolist() == [0, 1, 2, 3, 4]
    alone = processor.collate(rows[2:])
    torch.testing.assert_close(batch.pixels[3:], alone.pixels)


def test_images_are_counted_whatever_their_tiles():
    processor = tiny_processor(tiles=2)
    batch = processor.collate([encoded(processor, (16, 16), (9, 40)), encoded(processor)])
    assert (len(batch.tile_order), processor.num_images(batch)) == (4, 2)


def test_an_image_beside_others_has_features_of_its_own():
    processor = tiny_anyres(features=FeatureCache())
    processor.features.open("encoder")
    single, pair = encoded(processor, (16, 16)), encoded(processor, (16, 16), (16, 16))
    keys = processor.collate([single]).pixel_keys
    assert len(set(keys)) == 2
    processor.features.put(keys, torch.zeros(2, 16, 12))
    assert len(processor.collate([single]).pixels) == 0
    assert len(processor.collate([pair]).pixels) == 2


def test_an_image_that_changed_its_size_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 16, 32))
    example = Example("e4", (Turn("user", "<image>"),), (ImageRef(path=str(path)),), row=4)
    processor = tiny_anyres()
    row = processor.encode_example(example)
    path.write_bytes(png(1, 32, 16))
    with pytest.raises(
        ValueError, match=r"row 4 \(e4\): image .*a\.png: got 16 x 32 pixels.*was read"
    ):
        processor.collate([row])


def test_an_image_without_a_size_names_its_row(tmp_path):
    path = tmp_path / "b.png"
    path.write_bytes(b"no image")
    example = Example("e5", (Turn("user", "<image>"),), (ImageRef(path=str(path)),), row=5)
    with pytest.raises(ValueError, match=r"row 5 \(e5\): image .*b\.png: cannot be read"):
        tiny_anyres().encode_example(example)


def test_tokens_that_make_no_square_stop_before_any_row():
    with pytest.raises(ValueError, match=r"tokens_per_tile: got 5, allowed with AnyRes: a square"):
        Processor(tiny_anyres().tokenizer, image=AnyRes(size_px=16), tokens_per_tile=5)
