"""The vision-language model equals the same parts put together by hand with transformers."""

# pyright: reportOptionalCall=false, reportOptionalMemberAccess=false
# Parts of the models built here are known to be there.

from dataclasses import replace

import pytest
import torch
from tiny import (
    png,
    tiny_language,
    tiny_processor,
    tiny_projector,
    tiny_tokenizer,
    tiny_vision,
)

from mmlite.batch import IGNORE_INDEX
from mmlite.features import FeatureCache
from mmlite.images import ImageTransform
from mmlite.models import MLPProjector, VisionLanguageModel
from mmlite.models.adapters import Adapter, add_adapter
from mmlite.models.quantization import Quantization
from mmlite.processor import Processor
from mmlite.records import ImageRef, Turn


def build(processor, *, seed=0, with_images=True):
    torch.manual_seed(seed)
    language = tiny_language(processor.vocabulary_size)
    if not with_images:
        return VisionLanguageModel(language, image_token_id=processor.image_token_id).eval()
    vision = tiny_vision()
    projector = tiny_projector(vision.dim, language.dim)
    token = processor.image_token_id
    return VisionLanguageModel(language, vision, projector, image_token_id=token).eval()


def conversation(processor, *numbers, answer="one two ."):
    """A conversation about images of these numbers."""
    turns = [
        Turn("user", "<image>" * len(numbers) + "what is red ?"),
        Turn("assistant", answer, trained=True),
    ]
    return processor.encode(turns, [ImageRef(data=png(n)) for n in numbers])


def test_equals_the_composition_by_hand():
    processor = tiny_processor()
    model = build(processor)
    rows = [conversation(processor, 1), conversation(processor), conversation(processor, 2, 3)]
    batch = processor.collate(rows)
    embeddings = model.language.model.get_input_embeddings()(batch.input_ids)
    with torch.no_grad():
        tokens = iter(model.projector(model.vision(batch.pixels)).flatten(0, 1))
        for row, ids in enumerate(batch.input_ids.tolist()):
            for place, token in enumerate(ids):
                if token == processor.image_token_id:
                    embeddings[row, place] = next(tokens)
        assert next(tokens, None) is None
        logits = model.language.model(
            inputs_embeds=embeddings, attention_mask=batch.attention_mask
        ).logits
        found, targets = model(batch)
    expected, wanted = [], []
    for row, labels in enumerate(batch.labels.tolist()):
        for place, label in enumerate(labels):
            if label != IGNORE_INDEX:
                expected.append(logits[row, place - 1])
                wanted.append(label)
    assert targets.tolist() == wanted
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_plain_language_model_is_the_transformers_model():
    processor = tiny_processor()
    model = build(processor, with_images=False)
    batch = processor.collate([conversation(processor)])
    logits, targets = model(batch)
    whole = model.language.model(input_ids=batch.input_ids).logits[0]
    torch.testing.assert_close(logits, whole[-1 - len(targets) : -1])


def test_images_belong_to_their_placeholders():
    processor = tiny_processor()
    model = build(processor)

    def logits(*numbers):
        return model(processor.collate([conversation(processor, *numbers)]))[0]

    assert not torch.allclose(logits(1, 2), logits(2, 1), atol=1e-3)
    one, other = conversation(processor, 1), conversation(processor, 2)
    together, swapped = (
        model(processor.collate([one, other])),
        model(processor.collate([other, one])),
    )
    half = len(together[0]) // 2
    torch.testing.assert_close(together[0][:half], swapped[0][half:])
    torch.testing.assert_close(together[0][half:], swapped[0][:half])


def test_cached_and_new_tiles_keep_their_order():
    processor = tiny_processor(features=FeatureCache(), tiles=2)
    plain = tiny_processor(tiles=2)
    model = build(processor)
    processor.features.open("encoder")
    known = processor.collate([conversation(processor, 2)])
    processor.features.put(known.pixel_keys, model.vision(known.pixels))
    mixed = processor.collate([conversation(processor, 1, 2, 3)])
    assert (len(mixed.features), len(mixed.pixels)) == (2, 4)
    expected = model(plain.collate([conversation(plain, 1, 2, 3)]))[0]
    torch.testing.assert_close(model(mixed)[0], expected)


def test_text_alone_leaves_zero_gradients_in_the_projector():
    processor = tiny_processor()
    model = build(processor)
    model(processor.collate([conversation(processor)]))[0].sum().backward()
    for parameter in model.projector.parameters():
        assert parameter.grad is not None  # processes without images take part
        assert not parameter.grad.any()


def test_images_without_an_encoder_are_refused():
    processor = tiny_processor()
    batch = processor.collate([conversation(processor, 1)])
    with pytest.raises(ValueError, match="got a batch with 1 image tiles, but the model has no"):
        build(processor, with_images=False)(batch)


def test_another_number_of_image_tokens_is_refused():
    processor = tiny_processor()
    model = build(processor)
    processor.tokens_per_tile = 3
    batch = processor.collate([conversation(processor, 1)])
    with pytest.raises(ValueError, match=r"got 3 image tokens for 1 tiles of 4 tokens.*to 4"):
        model(batch)


def test_an_encoder_needs_a_projector():
    with pytest.raises(ValueError, match="only one of vision and projector"):
        VisionLanguageModel(tiny_language(18), tiny_vision(), image_token_id=1)


def test_a_model_of_bfloat16_takes_pixels_and_cached_features_of_float32():
    processor = tiny_processor()
    model = build(processor).bfloat16()
    batch = processor.collate([conversation(processor, 1), conversation(processor, 2)])
    with torch.no_grad():
        logits, _ = model(batch)
        features = model.vision(batch.pixels.bfloat16()).float()
        some = replace(batch, pixels=batch.pixels[1:], features=features[:1], pixel_keys=())
        of_some, _ = model(some)
        of_all, _ = model(replace(batch, pixels=batch.pixels[:0], features=features))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(of_some, logits)
    torch.testing.assert_close(of_all, logits)


def test_an_encoder_of_bfloat16_and_a_projector_of_float32_learn_from_text_too():
    processor = tiny_processor()
    model = build(processor)
    model.vision.bfloat16()
    for rows in ([conversation(processor, 1)], [conversation(processor)]):
        logits, _ = model(processor.collate(rows))
        logits.sum().backward()
    assert all(p.grad is not None for p in model.projector.parameters())


@pytest.mark.parametrize("is_autocast", [False, True])
def test_a_projector_of_packed_weights_is_given_features_that_it_can_multiply(is_autocast: bool):
    """Weights of 4 bits are stored as whole numbers; features are not brought to their type."""
    image = ImageTransform(size_px=16)
    processor = Processor(tiny_tokenizer(), image=image, tokens_per_tile=16, max_tokens=128)
    model = build(processor)
    model.projector = MLPProjector(model.vision.dim, model.language.dim)
    add_adapter(model.projector, Adapter(4, 8.0, 0.0, quantize=Quantization()))
    with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
        logits, _ = model(processor.collate([conversation(processor, 1)]))
    logits.float().sum().backward()
    learnt = [p for p in model.projector.parameters() if p.requires_grad]
    assert learnt
    assert all(p.grad is not None for p in learnt)
