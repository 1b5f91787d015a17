"""Images in tiles through the whole model: places, gradients, cached features, generation."""

# pyright: reportOptionalCall=false, reportOptionalMemberAccess=false
# Parts of the models built here are known to be there.

import torch
from tiny import png, tiny_anyres, tiny_stage
from torch.nn.functional import interpolate

from mmlite.features import FeatureCache
from mmlite.generation import Decoding, Engine, Request
from mmlite.models import VisionLanguageModel
from mmlite.records import ImageRef, Turn


def build(processor=None) -> VisionLanguageModel:
    torch.manual_seed(0)
    stage = tiny_stage(processor=processor or tiny_anyres())
    stage.configure_model()
    assert isinstance(stage.model, VisionLanguageModel)
    return stage.model.eval()


def conversation(processor, *shapes, answer="one two ."):
    images = [ImageRef(data=png(n, *shape)) for n, shape in enumerate(shapes)]
    turns = [
        Turn("user", "<image>" * len(images) + "what is red ?"),
        Turn("assistant", answer, trained=True),
    ]
    return processor.encode(turns, images)


def test_equals_the_composition_by_hand():
    processor = tiny_anyres()
    model = build(processor)
    # 2 x 1 tiles: a map of 4 x 2 tokens, reduced by sqrt(2) to 2 x 1.
    row = conversation(processor, (32, 16))
    batch = processor.collate([row])
    with torch.no_grad():
        tiles = model.projector(model.vision(batch.pixels))
        upper, lower = tiles[1].reshape(2, 2, -1), tiles[2].reshape(2, 2, -1)
        grid = torch.cat([upper, lower]).permute(2, 0, 1)[None]
        small = interpolate(grid, (2, 1), mode="bilinear")[0, :, :, 0].T
        end = model.projector.image_newline
        assert end is not None
        image = torch.cat([tiles[0], small[:1], end[None], small[1:], end[None]])
        embeddings = model.language.embed(batch.input_ids)
        embeddings[batch.input_ids == processor.image_token_id] = image
        hidden = model.language(embeddings, batch.attention_mask)
        expected = model.language.logits(hidden[0])
        found, targets = model(batch)
    torch.testing.assert_close(found, expected[-1 - len(targets) : -1])


def test_the_end_of_rows_is_a_part_of_the_projector():
    model = build()
    assert "image_newline" in dict(model.projector.named_parameters())
    assert model.projector.image_newline.shape == (16,)
    processor = tiny_anyres()
    model(processor.collate([conversation(processor, (16, 16))]))[0].sum().backward()
    assert model.projector.image_newline.grad.any()


def test_text_alone_leaves_a_zero_gradient_in_the_end_of_rows():
    processor = tiny_anyres()
    model = build(processor)
    model(processor.collate([conversation(processor)]))[0].sum().backward()
    assert model.projector.image_newline.grad is not None
    assert not model.projector.image_newline.grad.any()


def test_rows_of_a_batch_are_what_they_are_alone():
    processor = tiny_anyres()
    model = build(processor)
    rows = [
        conversation(processor, (16, 40)),
        conversation(processor),
        conversation(processor, (16, 16), (40, 9)),
        conversation(processor, (30, 32)),
    ]
    with torch.no_grad():
        together = model(processor.collate(rows))[0]
        alone = torch.cat([model(processor.collate([row]))[0] for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_cached_tiles_give_the_same_logits():
    processor = tiny_anyres(features=FeatureCache())
    model = build(processor)
    processor.features.open("encoder")
    rows = [conversation(processor, (16, 32)), conversation(processor, (16, 16), (40, 9))]
    fresh = processor.collate(rows)
    with torch.no_grad():
        expected = model(fresh)[0]
        processor.features.put(fresh.pixel_keys[:3], model.vision(fresh.pixels[:3]))
        mixed = processor.collate(rows)
        assert (len(mixed.features), len(mixed.pixels)) == (3, 2)
        torch.testing.assert_close(model(mixed)[0], expected)


def test_answers_to_images_in_tiles_do_not_depend_on_their_batch():
    processor = tiny_anyres()
    engine = Engine(build(processor), processor)
    shapes = [(16, 16), (16, 48), (48, 16)]
    requests = [
        Request((Turn("user", "<image>what ?"),), (ImageRef(data=png(n, *shape)),))
        for n, shape in enumerate(shapes)
    ]
    together = engine.generate(requests, Decoding(max_new_tokens=5))
    for request, made in zip(requests, together, strict=True):
        assert engine.generate([request], Decoding(max_new_tokens=5))[0] == made
