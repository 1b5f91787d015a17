"""Root-mean-square norms in fewer passes, which keep less for the backward pass.

As transformers write them (`Qwen3RMSNorm`), PyTorch keeps two float32 tensors of the input's size
for every norm and goes over them a dozen times. Here the input is kept, which its neighbours keep
anyway, and one number a row; the gradient is the closed form (Zhang and Sennrich,
arXiv:1910.07467, eq. 4), most of it by the one kernel that PyTorch has for layer norms. Results are
equal up to rounding.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RootMeanSquareNorm(torch.autograd.Function):
    """The norm of the last axis: computed in float32, returned in the input's type, then scaled."""

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "*row dim"], weight: Float[Tensor, " dim"], eps: float
    ) -> Float[Tensor, "*row dim"]:
        """Return `weight * x / sqrt(mean(x^2) + eps)`."""
        wide = x.float()
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = scale.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        normed = (wide * scale).to(x.dtype)
        return normed.mul_(weight) if normed.dtype == weight.dtype else weight * normed

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Float[Tensor, "*row dim"]
    ) -> tuple[Tensor, Tensor | None, None]:
        """Return the gradients of input and weight.

        A layer norm with a mean of zero, but for what flows through its mean: that is added back.
        """
        x, weight, scale = ctx.saved_tensors
        size, wide, factor = len(weight), gradient.float(), weight.float()
        given, learnt, _ = torch.ops.aten.native_layer_norm_backward(
            wide,
            x.float(),
            [size],
            torch.zeros_like(scale),
            scale,
            factor,
            None,
            [True, ctx.needs_input_grad[1], False],
        )
        # Not a product of matrices, which autocast would make in bfloat16 where this is compiled.
        through_mean = (wide * factor).sum(-1, keepdim=True)
        given.add_(through_mean.mul_(scale).div_(size))
        return given.to(x.dtype), None if learnt is None else learnt.to(weight.dtype), None


def fuse_norms(model: nn.Module) -> int:
    """Let every root-mean-square norm of a model compute as `RootMeanSquareNorm` does.

    Names, weights and results stay as they are. Norms of another formula (such as Gemma's, which
    adds one to its weight) are left alone.

    Returns:
        How many norms were changed.
    """
    found = [module for module in model.modules() if _is_plain(type(module))]
    for module in found:
        module.forward = partial(_forward, module)
    return len(found)


def _forward(module: Any, hidden_states: Tensor) -> Tensor:
    return RootMeanSquareNorm.apply(hidden_states, module.weight, module.variance_epsilon)


@cache
def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether modules of a class are norms of this formula: one of them is asked.

    Also in mixed precision, where a norm may scale before or after it rounds (OLMo2's before).
    """
    if not kind.__name__.endswith("RMSNorm"):
        return False
    make: Callable[..., nn.Module] = kind
    with torch.device("cpu"), torch.no_grad():
        generator = torch.Generator("cpu").manual_seed(0)
        x = torch.randn(4, 8, generator=generator, dtype=torch.float32)
        try:
            asked: Any = make(8, eps=1e-3).float()
            weight = asked.weight.copy_(torch.randn(8, generator=generator, dtype=torch.float32))
            pairs = [
                (asked(given), RootMeanSquareNorm.apply(given, weight, asked.variance_epsilon))
                for given in (x, x.bfloat16())
            ]
        except (AttributeError, TypeError, RuntimeError):
            return False
    return all(
        told.dtype == expected.dtype and torch.allclose(told, expected, rtol=1e-5, atol=1e-6)
        for told, expected in pairs
    )
