"""Batch: moving it, counting its tokens, replacing pixels by features."""

import torch
from tiny import tiny_examples, tiny_processor

from mmlite.batch import IGNORE_INDEX, Batch


def batch():
    processor = tiny_processor()
    return processor.collate([processor.encode_example(example) for example in tiny_examples(3)])


def test_every_tensor_moves_and_the_rest_stays():
    made = batch()
    moved = made.to("meta")
    for name, value in vars(made).items():
        if isinstance(value, torch.Tensor):
            assert getattr(moved, name).device.type == "meta", name
        elif name not in (
            "counts",
            "supervised",
            "image_places",
        ):  # known of a batch that left the CPU
            assert getattr(moved, name) is value, name


def test_tokens_are_counted_without_padding():
    made = batch()
    assert made.num_tokens == int((made.input_ids != 0).sum()) < made.input_ids.numel()
    answers = [len(example.turns[-1].text.split()) for example in tiny_examples(3)]
    assert made.num_supervised == sum(answers) + 3  # each with its end


def test_a_first_token_cannot_be_learnt():
    made = batch()
    made.labels[:] = IGNORE_INDEX
    made.labels[:, 0] = 1
    assert made.num_supervised == 0


def test_features_take_the_place_of_pixels_after_those_that_were_there():
    made = batch()
    known, new = torch.ones(1, 4, 2), torch.zeros(2, 4, 2)
    mixed = Batch(
        made.input_ids,
        made.labels,
        made.attention_mask,
        pixels=made.pixels,
        features=known,
        tile_order=torch.tensor([1, 0, 2]),
        pixel_keys=("a", "b"),
    ).with_features(new)
    assert (len(mixed.pixels), mixed.pixel_keys) == (0, ())
    assert mixed.features[mixed.tile_order][:, 0, 0].tolist() == [0, 1, 0]
