"""Fused rotary positions compute what transformers' compute."""

# pyright: reportReturnType=false, reportOptionalMemberAccess=false, reportArgumentType=false
# Gradients are known to be there.

import copy
import pickle

import pytest
import torch
from torch import nn
from transformers.models.cohere.configuration_cohere import CohereConfig
from transformers.models.cohere.modeling_cohere import CohereAttention
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention
from transformers.models.olmo2.configuration_olmo2 import Olmo2Config
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, apply_rotary_pos_emb

from mmlite.models.rotary import _is_plain, fuse_rotary, rotate

SIZES = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "num_hidden_layers": 1,
    "attn_implementation": "sdpa",
}


def angles(batch: int, tokens: int, dtype: torch.dtype) -> list[torch.Tensor]:
    half = torch.rand(batch, tokens, 4) * 3
    return [half.repeat(1, 1, 2).cos().to(dtype), half.repeat(1, 1, 2).sin().to(dtype)]


def turned(by, q, k, cos, sin) -> list[torch.Tensor]:
    q, k = q.clone().requires_grad_(), k.clone().requires_grad_()
    found = by(q, k, cos, sin)
    torch.stack([(out.float() ** 3).sum() for out in found]).sum().backward()
    return [*(out.detach() for out in found), q.grad, k.grad]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("of_angles", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3])
def test_outputs_and_gradients_are_those_of_transformers(dtype, of_angles, rows) -> None:
    torch.manual_seed(0)
    # Queries and keys lie in memory as attention makes them: by token, then by head.
    q = torch.randn(3, 5, 2, 8, dtype=dtype).transpose(1, 2)
    k = torch.randn(3, 5, 1, 8, dtype=dtype).transpose(1, 2)
    cos, sin = angles(rows, 5, of_angles)
    tolerance = 1e-5 if dtype == of_angles == torch.float32 else 5e-2
    ours, theirs = turned(rotate, q, k, cos, sin), turned(apply_rotary_pos_emb, q, k, cos, sin)
    for found, expected in zip(ours, theirs, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def attended(attention: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    attention.zero_grad()
    x = x.clone().requires_grad_()
    out, _ = attention(x, position_embeddings=angles_of(x), attention_mask=None)
    out.square().sum().backward()
    return [out.detach(), x.grad, *(p.grad.clone() for p in attention.parameters())]


def angles_of(x: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return angles(1, x.shape[1], x.dtype)


@pytest.mark.parametrize(
    ("kind", "config"), [(Qwen3Attention, Qwen3Config), (LlamaAttention, LlamaConfig)]
)
def test_attention_is_the_same_as_before(kind, config) -> None:
    torch.manual_seed(0)
    theirs = kind(config(**SIZES), layer_idx=0)
    ours = copy.deepcopy(theirs)
    assert fuse_rotary(ours) == 1
    x = torch.randn(2, 7, 16)
    for found, expected in zip(attended(ours, x), attended(theirs, x), strict=True):
        torch.testing.assert_close(found, expected)
    assert "Rotation" in graph(ours, x)
    assert "Rotation" not in graph(theirs, x)


def graph(attention: nn.Module, x: torch.Tensor) -> str:
    """The names of the steps that led to an output."""
    out, _ = attention(x, position_embeddings=angles_of(x), attention_mask=None)
    names, left = [], [out.grad_fn]
    while left:
        step = left.pop()
        if step is not None:
            names.append(step.name())
            left += [before for before, _ in step.next_functions]
    return " ".join(names)


@pytest.mark.parametrize(
    ("kind", "config"), [(CohereAttention, CohereConfig), (Olmo2Attention, Olmo2Config)]
)
def test_attention_that_rotates_otherwise_is_left_alone(kind, config) -> None:
    """Cohere turns neighbours, OLMo2 returns another type in mixed precision."""
    assert fuse_rotary(kind(config(**SIZES), layer_idx=0)) == 0


def test_the_default_type_decides_nothing() -> None:
    _is_plain.cache_clear()
    torch.set_default_dtype(torch.bfloat16)
    try:
        theirs = Qwen3Attention(Qwen3Config(**SIZES), layer_idx=0)
        assert fuse_rotary(theirs) == 1
    finally:
        torch.set_default_dtype(torch.float32)
        _is_plain.cache_clear()


def test_fused_attention_can_be_pickled() -> None:
    ours = Qwen3Attention(Qwen3Config(**SIZES), layer_idx=0)
    fuse_rotary(ours)
    x = torch.randn(1, 3, 16)
    again = pickle.loads(pickle.dumps(ours))
    torch.testing.assert_close(attended(again, x)[0], attended(ours, x)[0])
    assert "Rotation" in graph(again, x)


def test_second_derivatives_are_refused() -> None:
    q = torch.randn(1, 1, 3, 8, requires_grad=True)
    turned_q, _ = rotate(q, q, *angles(1, 3, torch.float32))
    (first,) = torch.autograd.grad(turned_q.square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_copy_attends_with_its_own_weights() -> None:
    ours = Qwen3Attention(Qwen3Config(**SIZES), layer_idx=0)
    fuse_rotary(ours)
    other = copy.deepcopy(ours)
    nn.init.zeros_(other.o_proj.weight)
    x = torch.randn(1, 3, 16)
    assert not attended(other, x)[0].any()
    assert attended(ours, x)[0].any()
