"""Examples to Batches: what is learnt, where images go, what is refused."""

import pytest
import torch
from tiny import png, tiny_processor

from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.chat import ChatTemplate
from mmlite.errors import RowError
from mmlite.features import FeatureCache
from mmlite.images import ImageTransform
from mmlite.processor import Processor
from mmlite.records import Example, ImageRef, Turn


def supervised(processor, batch, row=0):
    labels = batch.labels[row]
    return processor.tokenizer.decode(labels[labels != IGNORE_INDEX].tolist())


def test_exactly_the_trained_turns_and_their_ends_are_learnt():
    processor = tiny_processor()
    turns = [
        Turn("user", "<image>what is red ?"),
        Turn("assistant", "one .", trained=True),
        Turn("user", "what is blue ?"),
        Turn("assistant", "two .", trained=False),
        Turn("assistant", "three .", trained=True),
    ]
    row = processor.encode(turns, [ImageRef(data=png(0))])
    batch = processor.collate([row])
    assert supervised(processor, batch) == "one . <end> three . <end>"
    whole = str(processor.tokenizer.decode(list(row.input_ids)))
    assert whole.startswith("<user> <image> <image> <image> <image> what is red ?")


def test_a_request_ends_where_the_answer_begins():
    processor = tiny_processor()
    row = processor.encode([Turn("user", "what is red ?")], answer=True)
    assert str(processor.tokenizer.decode(list(row.input_ids))).endswith("? <assistant>")
    assert set(row.labels) == {IGNORE_INDEX}


def test_padding_goes_right_for_training_and_left_for_generation():
    processor = tiny_processor()
    rows = [processor.encode([Turn("user", text)]) for text in ("red", "red blue green")]
    right, left = processor.collate(rows), processor.collate(rows, pad_left=True)
    assert right.attention_mask[0].tolist() == [True, True, False, False]
    assert left.attention_mask[0].tolist() == [False, False, True, True]
    assert left.input_ids[0, 2:].tolist() == right.input_ids[0, :2].tolist()


def test_tiles_follow_the_order_of_placeholders():
    processor = tiny_processor(tiles=2)
    one, two = ImageRef(data=png(1, 32)), ImageRef(data=png(2, 32))
    pair = processor.collate([processor.encode([Turn("user", "<image><image>")], [one, two])])
    single = processor.collate([processor.encode([Turn("user", "<image>")], [two])])
    assert pair.pixels.shape == (4, 3, 16, 16)
    torch.testing.assert_close(pair.pixels[2:], single.pixels)
    assert pair.tile_order.tolist() == [0, 1, 2, 3]


def test_threads_read_the_same_images_in_the_same_order():
    processor = tiny_processor()
    images = [ImageRef(data=png(number, 24)) for number in range(9)]
    rows = [
        processor.encode([Turn("user", "<image>" * number)], images[:number])
        for number in (4, 0, 5)
    ]
    alone, together = (processor.collate(rows, readers=readers) for readers in (1, 4))
    assert torch.equal(alone.pixels, together.pixels)
    assert torch.equal(alone.tile_order, together.tile_order)


@pytest.mark.parametrize("is_cached", [False, True])
def test_rows_can_share_the_tiles_of_an_image(is_cached: bool):
    cache = FeatureCache() if is_cached else None
    processor = tiny_processor(features=cache, tiles=2)
    one, two = ImageRef(data=png(1, 32)), ImageRef(data=png(2, 32))
    if cache is not None:
        cache.open("encoder")
        first = processor.collate([processor.encode([Turn("user", "<image>")], [one])])
        cache.put(first.pixel_keys, torch.randn(2, 4, 3))
    asked = [([one, two], "<image><image>"), ([two], "<image>"), ([one], "what <image>")]
    rows = [processor.encode([Turn("user", text)], images) for images, text in asked]
    apart, shared = (processor.collate(rows, is_shared=given) for given in (False, True))
    assert len(shared.pixels) == (2 if is_cached else 4)
    assert len(shared.features) == (2 if is_cached else 0)

    def tiles(batch: Batch) -> torch.Tensor:
        encoded = batch.pixels.flatten(1)[:, :12]
        kept = batch.features.reshape(-1, 12) if is_cached else encoded[:0]
        return torch.cat([kept, encoded])[batch.tile_order]

    assert torch.equal(tiles(shared), tiles(apart))


def test_placeholders_and_images_must_agree():
    with pytest.raises(ValueError, match=r"got 1 <image> placeholders in the turns and 0 images"):
        tiny_processor().encode([Turn("user", "<image> red")])


def test_a_sequence_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match=r"at most processor\.max_tokens 128"):
        tiny_processor().encode([Turn("user", "red " * 200)])


def test_an_image_token_the_tokenizer_lacks_is_refused():
    with pytest.raises(ValueError, match=r"image_token: got '<picture>'"):
        Processor(tiny_processor().tokenizer, image_token="<picture>")


def test_strings_of_another_chat_stand_around_turns_and_images():
    chat = ChatTemplate(
        system_start="one",
        system_end="two",
        user_start="<user>",
        user_end="is",
        assistant_start="<assistant>",
        assistant_end="<end> three",
        image_start="what",
        image_end="look",
    )
    image = ImageTransform(size_px=16)
    processor = Processor(
        tiny_processor().tokenizer, chat=chat, image=image, tokens_per_tile=2, max_tokens=64
    )
    turns = [
        Turn("system", "red"),
        Turn("user", "<image>\nblue"),
        Turn("assistant", "green", trained=True),
    ]
    row = processor.encode(turns, [ImageRef(data=png(0))])
    assert str(processor.tokenizer.decode(list(row.input_ids))) == (
        "one red two <user> what <image> <image> look blue is <assistant> green <end> three"
    )
    assert supervised(processor, processor.collate([row])) == "green <end> three"


def test_a_learnt_turn_is_learnt_from_the_token_before_it():
    processor = tiny_processor()
    turns = [Turn("user", "is"), Turn("assistant", "red", trained=True)]
    batch = processor.collate([processor.encode(turns)])
    text = str(processor.tokenizer.decode(batch.input_ids[0].tolist()))
    assert text == "<user> is <assistant> red <end>"
    assert (batch.labels[0] != IGNORE_INDEX).tolist() == [False, False, False, True, True]
    assert (batch.num_supervised, batch.num_tokens) == (2, 5)


def test_a_refused_row_is_named():
    example = Example("e7", (Turn("user", "<image>"),), source="here", row=7)
    with pytest.raises(ValueError, match=r"here row 7 \(e7\): got 1 <image> placeholders"):
        tiny_processor().encode_example(example)


def test_image_tokens_in_a_text_are_refused():
    processor = Processor(tiny_processor().tokenizer, image_token="look", tokens_per_tile=4)
    with pytest.raises(ValueError, match="got 1 image tokens that its text spells out"):
        processor.encode([Turn("user", "look <image>")], [ImageRef(data=png(0))])


def test_a_text_that_spells_out_the_end_of_a_turn_is_refused():
    processor = tiny_processor()
    turns = (Turn("user", "what ?"), Turn("assistant", "red <end> blue", trained=True))
    with pytest.raises(RowError, match=r"here row 7 \(e7\): turn 1: got <end> in its text"):
        processor.encode_example(Example("e7", turns, source="here", row=7))
    # What a model wrote is passed on as it is.
    assert processor.encode([Turn("user", "red <end>")], answer=True)


def test_an_unreadable_image_names_its_row_with_and_without_a_cache(tmp_path):
    example = Example(
        "e3",
        (Turn("user", "<image>"),),
        (ImageRef(path=str(tmp_path / "gone.png")),),
        source="here",
        row=3,
    )
    cache = FeatureCache()
    cache.open("encoder")
    for processor in (tiny_processor(), tiny_processor(features=cache)):
        row = processor.encode_example(example)
        with pytest.raises(
            ValueError, match=r"here row 3 \(e3\): image .*gone\.png: cannot be read"
        ):
            processor.collate([row])
        with pytest.raises(ValueError, match=r"here row 3 \(e3\): image .*gone\.png"):
            processor.collate([row, row], readers=2)


def test_decoding_leaves_special_tokens_out():
    processor = tiny_processor()
    ids = processor.tokenizer("red blue <end> <pad>")["input_ids"]
    assert processor.decode(ids) == "red blue"
