"""Rotary positions in fewer passes.

As transformers write them (`apply_rotary_pos_emb` beside each attention), queries and keys are cut
in two, negated, put together, multiplied twice and added, and PyTorch does as much again backwards.
Here each is gone over three times each way (RoFormer, arXiv:2104.09864, sec. 3.2.2). Results are
equal up to rounding.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

NAME = "apply_rotary_pos_emb"
"""How attention calls what it rotates queries and keys by, in all of transformers' models."""


class Rotation(torch.autograd.Function):
    """Turn the pairs (i, i + half) of the last axis by their angles."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "batch head token dim"],
        cos: Float[Tensor, "#batch 1 token dim"],
        sin: Float[Tensor, "#batch 1 token dim"],
    ) -> Float[Tensor, "batch head token dim"]:
        """Return `x * cos + rotate_half(x) * sin`."""
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        turned = x * cos
        turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
        turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
        return turned

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Float[Tensor, "batch head token dim"]
    ) -> tuple[Tensor, None, None]:
        """Return the gradient of `x`: turned the other way."""
        cos, sin = ctx.saved_tensors
        half = gradient.shape[-1] // 2
        given = gradient * cos
        given[..., :half].addcmul_(gradient[..., half:], sin[..., half:])
        given[..., half:].addcmul_(gradient[..., :half], sin[..., :half], value=-1)
        return given, None, None


def rotate(
    q: Float[Tensor, "batch head token dim"],
    k: Float[Tensor, "batch kv_head token dim"],
    cos: Float[Tensor, "#batch token dim"],
    sin: Float[Tensor, "#batch token dim"],
    unsqueeze_dim: int = 1,
) -> tuple[Tensor, Tensor]:
    """Do as `apply_rotary_pos_emb` of transformers does."""
    turned: Callable[..., Tensor] = Rotation.apply
    dtype = torch.promote_types(q.dtype, cos.dtype)
    cos, sin = (angle.unsqueeze(unsqueeze_dim).to(dtype) for angle in (cos, sin))
    return turned(q.to(dtype), cos, sin), turned(k.to(dtype), cos, sin)


def fuse_rotary(model: nn.Module) -> int:
    """Let attention rotate queries and keys as `rotate` does.

    Everything else of its forward pass stays transformers' own. Attention that rotates otherwise
    (a part of each head, or neighbours as pairs) is left alone.

    Returns:
        How many modules were changed.
    """
    found = [module for module in model.modules() if _is_plain(type(module))]
    for module in found:
        module.forward = _Forward(module)
    return len(found)


class _Forward:
    """The forward pass of one module; copies and pickles belong to the copy of the module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.function = _with_rotate(type(module))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self.module, *args, **kwargs)

    def __reduce__(self) -> tuple[type["_Forward"], tuple[nn.Module]]:
        return _Forward, (self.module,)


@cache
def _with_rotate(kind: type[nn.Module]) -> FunctionType:
    """Return the forward pass of a class, in which the name stands for `rotate`."""
    forward: Any = kind.forward
    known = {**forward.__globals__, NAME: rotate}
    made = FunctionType(
        forward.__code__, known, forward.__name__, forward.__defaults__, forward.__closure__
    )
    made.__kwdefaults__ = forward.__kwdefaults__
    return made


@cache
def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether modules of a class rotate by this formula: it is asked."""
    forward: Any = kind.forward
    is_simple = isinstance(forward, FunctionType) and not hasattr(forward, "__wrapped__")
    if not is_simple or NAME not in forward.__code__.co_names:
        return False
    asked: Any = forward.__globals__.get(NAME)
    with torch.device("cpu"), torch.no_grad():
        q, k, cos, sin = _numbers((2, 3, 5, 8), (2, 1, 5, 8), (2, 5, 4), (2, 5, 4))
        cos, sin = cos.repeat(1, 1, 2), sin.repeat(1, 1, 2)
        try:
            told, expected = asked(q, k, cos, sin), rotate(q, k, cos, sin)
            mixed, wide = asked(q.bfloat16(), k, cos, sin), rotate(q.bfloat16(), k, cos, sin)
        except (TypeError, RuntimeError):
            return False
        try:
            asked(q, k, cos[..., :4], sin[..., :4])
        except RuntimeError:  # it rotates whole heads, and nothing else
            pairs = zip((*told, *mixed), (*expected, *wide), strict=True)
            return all(
                a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs
            )
    return False


def _numbers(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Return the same random numbers in float32 every time, whatever the default type is."""
    generator = torch.Generator("cpu").manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float32) for shape in shapes]
