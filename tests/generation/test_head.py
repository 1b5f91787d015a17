"""Logits in the same memory are those of the head, bit by bit."""

import pytest
import torch
from tiny import tiny_language_of
from torch import nn

from mmlite.generation.head import Head


@pytest.mark.parametrize("model_type", ["qwen3", "llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_logits_are_those_of_the_head_in_the_same_memory(model_type: str, dtype: torch.dtype):
    torch.manual_seed(0)
    language = tiny_language_of(model_type, 300).to(dtype)
    head, places = Head(language), set()
    for rows in (7, 7, 3, 1, 9, 2):
        hidden = torch.randn(rows, 2, language.dim, dtype=dtype)[:, -1]  # as of a sequence
        with torch.inference_mode():
            found = head(hidden)
            assert torch.equal(found, language.logits(hidden))
        places.add(found.data_ptr())
    assert len(places) == 2  # one more where there were more rows than before


def test_other_heads_are_called_as_ever():
    torch.manual_seed(0)
    language = tiny_language_of("qwen3", 300)
    hidden = torch.randn(4, language.dim)
    assert Head(language)(hidden).requires_grad
    called = []
    language.head.register_forward_hook(lambda *args: called.append(args))
    with torch.inference_mode():
        Head(language)(hidden)
    assert called
    language = tiny_language_of("qwen3", 300)
    language.head.forward = lambda states: called.append(states) or states @ language.table.t()
    called.clear()
    with torch.inference_mode():
        Head(language)(hidden)
    assert called
    language = tiny_language_of("qwen3", 300)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert Head(language)(hidden).dtype == torch.bfloat16
        assert Head(language)(hidden.bfloat16()).dtype == torch.bfloat16
    language.model.set_output_embeddings(nn.Linear(language.dim, 300, bias=True))
    with torch.inference_mode():
        found = Head(language)(hidden)
        assert torch.equal(found, language.logits(hidden))
