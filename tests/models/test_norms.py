"""Fused norms compute what transformers' norms compute, and keep less."""

import copy

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm
from transformers.models.olmo2.modeling_olmo2 import Olmo2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from mmlite.models.norms import _is_plain, fuse_norms


def ours_and_theirs(dim: int = 16) -> tuple[nn.Module, nn.Module]:
    theirs = Qwen3RMSNorm(dim, eps=1e-5)
    nn.init.normal_(theirs.weight)
    ours = copy.deepcopy(theirs)
    assert fuse_norms(ours) == 1
    return ours, theirs


def passed(norm: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    norm.zero_grad()
    y = norm(x)
    y.backward(gradient.to(y.dtype))
    found = [y.detach(), x.grad, norm.weight.grad]
    assert all(isinstance(tensor, torch.Tensor) for tensor in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("shape", [(5, 16), (2, 3, 4, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16])
def test_outputs_and_gradients_are_those_of_transformers(shape, dtype, weight_dtype) -> None:
    torch.manual_seed(0)
    ours, theirs = (norm.to(weight_dtype) for norm in ours_and_theirs())
    x, gradient = torch.randn(shape, dtype=dtype), torch.randn(shape)
    is_rounded = torch.bfloat16 in (dtype, weight_dtype)
    rtol, atol = (2e-2, 5e-2) if is_rounded else (1e-5, 1e-5)
    for found, expected in zip(passed(ours, x, gradient), passed(theirs, x, gradient), strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


def kept_numbers(norm: nn.Module, x: torch.Tensor) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        norm(x)
    return sum(kept.values())


def test_less_is_kept_for_the_backward_pass() -> None:
    ours, theirs = ours_and_theirs()
    x = torch.randn(100, 16, requires_grad=True)
    assert kept_numbers(ours, x) < 0.6 * kept_numbers(theirs, x)


def test_a_frozen_norm_gets_no_gradient() -> None:
    ours, _ = ours_and_theirs()
    ours.requires_grad_(False)
    x = torch.randn(2, 16, requires_grad=True)
    ours(x).sum().backward()
    assert x.grad is not None
    assert next(ours.parameters()).grad is None


def test_norms_of_another_formula_are_left_alone() -> None:
    model = nn.Sequential(GemmaRMSNorm(8), nn.LayerNorm(8), nn.RMSNorm(8), Qwen3RMSNorm(8))
    assert fuse_norms(model) == 1
    assert "forward" in vars(model[3])


@pytest.mark.parametrize("norm", [Olmo2RMSNorm, GptOssRMSNorm])
def test_norms_that_round_elsewhere_are_left_alone(norm) -> None:
    """They return another type in mixed precision, where weights are float32 and inputs are not."""
    theirs = norm(8)
    expected = theirs(torch.ones(1, 8, dtype=torch.bfloat16)).dtype
    assert fuse_norms(theirs) == 0
    assert theirs(torch.ones(1, 8, dtype=torch.bfloat16)).dtype == expected


def test_the_default_type_decides_nothing() -> None:
    _is_plain.cache_clear()
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert fuse_norms(Qwen3RMSNorm(8)) == 1
    finally:
        torch.set_default_dtype(torch.float32)
        _is_plain.cache_clear()


def test_second_derivatives_are_refused() -> None:
    ours, _ = ours_and_theirs()
    x = torch.randn(2, 16, requires_grad=True)
    (first,) = torch.autograd.grad(ours(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_copy_norms_with_its_own_weight() -> None:
    ours, _ = ours_and_theirs()
    other = copy.deepcopy(ours)
    nn.init.zeros_(other.weight)  # type: ignore[arg-type]
    assert not other(torch.ones(1, 16)).any()
    assert ours(torch.ones(1, 16)).any()
