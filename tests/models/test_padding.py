"""Padding behind the tokens changes nothing, though attention is given no mask of it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import SIZES, tiny_processor
from torch.nn import functional

from mmlite.models import NewLanguageModel, VisionLanguageModel
from mmlite.records import Turn

MODELS: list[tuple[str, dict[str, Any]]] = [
    ("qwen3", {}),
    ("llama", {}),
    ("gemma3_text", {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}),
    ("mistral", {"sliding_window": 3}),
]


def ragged(processor):
    """Rows of five lengths."""
    rows = []
    for number in range(5):
        turns = [
            Turn("user", "what is red ? " * (number + 1)),
            Turn("assistant", "one two . " * (5 - number) + "three", trained=True),
            Turn("user", "look " * number * 3 + "?"),
            Turn("assistant", "blue", trained=True),
        ]
        rows.append(processor.encode(turns))
    assert len({len(row.input_ids) for row in rows}) == 5
    return rows


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("kind", "fields"), MODELS, ids=[kind for kind, _ in MODELS])
def test_a_row_learns_the_same_beside_longer_ones(kind, fields, attention):
    torch.manual_seed(0)
    processor = tiny_processor()
    language = NewLanguageModel(processor.vocabulary_size, kind, SIZES | fields, attention)
    model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
    rows = ragged(processor)
    together, targets = model(processor.collate(rows))
    alone = [model(processor.collate([row]))[0] for row in rows]
    torch.testing.assert_close(together, torch.cat(alone))
    masked, wanted = model(replace(processor.collate(rows), pads_left=True))
    torch.testing.assert_close(together, masked)
    assert targets.tolist() == wanted.tolist()


def test_attention_is_given_no_mask_where_padding_stands_behind(monkeypatch):
    processor = tiny_processor()
    language = NewLanguageModel(processor.vocabulary_size, "qwen3", SIZES)
    model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
    masks: list[Any] = []
    attend = functional.scaled_dot_product_attention

    def watched(*args, attn_mask=None, **kwargs):
        masks.append(attn_mask)
        return attend(*args, attn_mask=attn_mask, **kwargs)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    rows = ragged(processor)
    model(processor.collate(rows))
    assert masks == [None, None]
    model(processor.collate(rows, pad_left=True))
    assert len(masks) == 4
    assert all(mask is not None for mask in masks[2:])


def test_a_model_that_looks_ahead_is_told_of_padding():
    torch.manual_seed(0)
    processor = tiny_processor()
    fields = {**SIZES, "use_bidirectional_attention": True}
    language = NewLanguageModel(processor.vocabulary_size, "gemma3_text", fields).eval()
    assert not language.is_causal
    model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
    rows = ragged(processor)
    together, _ = model(processor.collate(rows))
    alone = [model(processor.collate([row]))[0] for row in rows]
    torch.testing.assert_close(together, torch.cat(alone))
