"""Packed examples are learnt as if each were alone: losses, gradients, images and positions."""

from typing import Any

import pytest
import torch
from tiny import (
    SIZES,
    png,
    tiny_examples,
    tiny_language,
    tiny_language_of,
    tiny_processor,
    tiny_projector,
    tiny_stage,
    tiny_trainer,
    tiny_vision,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from data_modules import Mixed, TextData
from data_modules.batching import BatchBudget
from data_modules.sources import Source
from mmlite.batch import IGNORE_INDEX
from mmlite.losses import token_loss
from mmlite.models import NewLanguageModel, VisionLanguageModel
from mmlite.models.isolation import check_isolation
from mmlite.packing import FILLING_TOKENS, pack, pad_to
from mmlite.processor import Encoded, Processor
from mmlite.records import ImageRef, Turn


def rows(processor: Processor) -> list[Encoded]:
    """One, no, and two images; short, long, and with two answers."""
    talks = [
        (["<image>what is red ?", "one ."], 1),
        (["what is blue ? look", "two three two ."], 0),
        (["<image><image>look", "red", "<image>is green ?", "blue red green ."], 3),
        (["is ?", "."], 0),
        (["<image>look look look is ?", "three"], 1),
    ]
    made = []
    for number, (texts, images) in enumerate(talks):
        turns = [
            Turn("assistant" if n % 2 else "user", text, trained=bool(n % 2))
            for n, text in enumerate(texts)
        ]
        refs = [ImageRef(data=png(10 * number + n)) for n in range(images)]
        made.append(processor.encode(turns, refs))
    return made


def tiny_model(processor: Processor, language=tiny_language) -> VisionLanguageModel:
    torch.manual_seed(0)
    built, vision = language(processor.vocabulary_size), tiny_vision()
    projector = tiny_projector(vision.dim, built.dim)
    return VisionLanguageModel(built, vision, projector, image_token_id=processor.image_token_id)


def other_language(model_type: str, attention: str = "sdpa", **more):
    return lambda size: tiny_language_of(model_type, size, attention, **more)


def losses(model: VisionLanguageModel, batch) -> torch.Tensor:
    """Each supervised token's loss, in order."""
    logits, targets = model(batch)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


@pytest.mark.parametrize(
    "language",
    [
        other_language("qwen3"),
        other_language("qwen3", "eager"),
        other_language("llama"),
        other_language("gemma3_text", sliding_window=4, query_pre_attn_scalar=8),
    ],
    ids=["qwen3-sdpa", "qwen3-eager", "llama-sdpa", "gemma3-sliding"],
)
@pytest.mark.parametrize("sizes", [(5,), (2, 3), (1, 1, 3), (4, 1)])
@pytest.mark.parametrize("pad_left", [False, True])
def test_packed_losses_are_those_of_each_example_alone(language, sizes, pad_left):
    processor = tiny_processor()
    model = tiny_model(processor, language)
    examples = rows(processor)
    alone = torch.cat([losses(model, processor.collate([row])) for row in examples])
    padded = processor.collate(examples, pad_left=pad_left)
    packed = pack(padded, sizes, pad_id=processor.pad_id)
    assert len(packed.input_ids) == len(sizes)
    torch.testing.assert_close(losses(model, packed), alone, rtol=1e-5, atol=1e-5)
    widened = pad_to(packed, 64, pad_id=processor.pad_id)
    assert widened.input_ids.shape[1] % 64 == 0
    torch.testing.assert_close(losses(model, widened), alone, rtol=1e-5, atol=1e-5)


SMALL = {name: SIZES[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
OTHERS: dict[str, dict[str, Any]] = {
    "opt": {**SMALL, "ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.2},  # learnt positions
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},  # ALiBi
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},  # a state
    "lfm2": {**SMALL, "num_key_value_heads": 1, "layer_types": ["conv", "full_attention"]},
}


@pytest.mark.parametrize("model_type", OTHERS)
def test_models_that_mix_packed_examples_are_refused(model_type):
    attention = "eager" if model_type in ("bloom", "mamba") else "sdpa"
    language = NewLanguageModel(40, model_type, OTHERS[model_type], attention)
    told = f"pack_tokens: got language model {model_type}, in which an example depends on the"
    with pytest.raises(ValueError, match=told):
        check_isolation(language)
    assert language.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_models_that_begin_with_hardly_any_mixing_are_refused_too(dtype):
    config = {**OTHERS["lfm2"], "initializer_range": 0.005}
    language = NewLanguageModel(40, "lfm2", config).to(dtype)
    with pytest.raises(ValueError, match="depends on the words of the one packed before it"):
        check_isolation(language)


@pytest.mark.parametrize("attention", ["sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_models_that_keep_packed_examples_apart_are_told_from_them(attention, dtype):
    language = other_language("gemma3_text", attention, sliding_window=4)(40).to(dtype)
    language.model.config.attention_dropout = 0.5
    check_isolation(language)
    assert language.model.config._attn_implementation == attention


class Examples(Source):
    name = "examples"

    def rows(self, split):
        return [(example,) for example in tiny_examples(4)]


def test_a_run_that_would_mix_packed_examples_does_not_start(tmp_path):
    stage = tiny_stage()
    stage.language = lambda size: NewLanguageModel(size, "lfm2", OTHERS["lfm2"])
    budget = BatchBudget(1, pack_tokens=64)
    data = TextData(stage.processor, train=[Mixed(Examples())], budget=budget)
    with pytest.raises(ValueError, match="got language model lfm2"):
        tiny_trainer(tmp_path, max_steps=1, max_epochs=-1).fit(stage, data)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flash_attention_3"])
def test_several_packed_rows_are_refused_with_flash_attention(attention):
    processor = tiny_processor()
    model = tiny_model(processor)
    model.language.model.config._attn_implementation = attention  # its kernels need not be there
    together = processor.collate(rows(processor))
    packed = pack(together, (2, 3), pad_id=processor.pad_id)
    with pytest.raises(ValueError, match=rf"2 packed rows with .*{attention}.*_size 1"):
        model(packed)
    model.language.model.config._attn_implementation = "sdpa"
    model(packed)


def test_one_packed_row_passes_on_to_flash_attention(monkeypatch):
    processor = tiny_processor()
    model = tiny_model(processor)
    seen = []

    def attend(module, query, key, value, mask, **arguments):
        seen.append((len(query), mask))
        return query.transpose(1, 2), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", attend)
    model.language.model.config._attn_implementation = "flash_attention_2"
    model(pack(processor.collate(rows(processor)), (5,), pad_id=processor.pad_id))
    assert seen == [(1, None)] * 2


def test_packed_gradients_are_those_of_the_padded_batch():
    processor = tiny_processor()
    padded = processor.collate(rows(processor))
    found = []
    for batch in (padded, pack(padded, (3, 2), pad_id=processor.pad_id)):
        model = tiny_model(processor)
        total, count = token_loss(*model(batch))
        total.backward()
        found.append((count, {n: p.grad for n, p in model.named_parameters()}))
    (count, expected), (packed_count, gradients) = found
    assert packed_count == count > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_another_image_changes_its_own_example_only():
    processor = tiny_processor()
    model, examples = tiny_model(processor), rows(processor)
    before = losses(model, pack(processor.collate(examples), (5,), pad_id=processor.pad_id))
    images = (ImageRef(data=png(99)), *examples[2].images[1:])
    examples[2] = Encoded(examples[2].input_ids, examples[2].labels, images)
    after = losses(model, pack(processor.collate(examples), (5,), pad_id=processor.pad_id))
    learnt = [sum(label != IGNORE_INDEX for label in row.labels) for row in examples]
    same = (before == after).split(learnt)
    assert [bool(part.all()) for part in same] == [True, True, False, True, True]


def test_positions_start_again_and_first_tokens_are_not_learnt():
    processor = tiny_processor()
    turns = [Turn("assistant", "red", trained=True)]
    learnt = processor.encode(turns)
    first = Encoded(learnt.input_ids, learnt.input_ids, ())  # labels from the very first token
    batch = pack(processor.collate([first, first, learnt]), (2, 1), pad_id=processor.pad_id)
    assert batch.position_ids is not None
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2]]
    assert batch.labels[0, [0, 3]].tolist() == [IGNORE_INDEX] * 2
    assert batch.attention_mask.tolist() == [[True] * 6, [True] * 3 + [False] * 3]
    padded = processor.collate([first, first, learnt])
    assert (batch.num_supervised, batch.num_tokens) == (padded.num_supervised, padded.num_tokens)
    assert batch.num_sequences == padded.num_sequences == 3


def test_padding_makes_short_examples_since_attention_grows_with_their_square():
    processor = tiny_processor()
    learnt = processor.encode([Turn("assistant", "red", trained=True)])
    batch = pack(processor.collate([learnt, learnt]), (1, 1), pad_id=processor.pad_id)
    longer = pad_to(batch, 400, pad_id=processor.pad_id)
    again = pad_to(longer, 1000, pad_id=processor.pad_id)
    for padded in (longer, again):
        assert padded.position_ids is not None
        filling = padded.position_ids[0, len(learnt.input_ids) :]
        assert filling.tolist() == [place % FILLING_TOKENS for place in range(len(filling))]


def test_packing_text_alone_still_runs_the_vision_encoder():
    processor = tiny_processor()
    model = tiny_model(processor)
    texts = [row for row in rows(processor) if not row.images]
    total, _ = token_loss(*model(pack(processor.collate(texts), (2,), pad_id=processor.pad_id)))
    total.backward()
    vision = [p for n, p in model.named_parameters() if n.startswith("vision.")]
    assert vision
    assert all(p.grad is not None and not p.grad.any() for p in vision)


def test_a_packed_batch_moves_whole():
    processor = tiny_processor()
    batch = pack(processor.collate(rows(processor)), (5,), pad_id=processor.pad_id).to("meta")
    assert batch.position_ids is not None
    assert batch.position_ids.device.type == "meta"
