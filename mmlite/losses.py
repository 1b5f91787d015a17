"""Losses: pure functions from tensors to a sum and a count."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import Function
from torch.nn import functional as F

LARGE_LOGITS = 2**22
"""Numbers in logits, 16 MB of float32, from which on the loss takes care of memory."""


def token_loss(
    logits: Float[Tensor, "token vocabulary"], targets: Int[Tensor, " token"]
) -> tuple[Float[Tensor, ""], int]:
    """Return the summed cross entropy in nats, and the number of tokens.

    The mean over tokens of a whole optimizer step, not the mean of the batches' means, is what
    stages minimise: every supervised token weighs the same, however batches are cut.

    Args:
        logits: Of any floating type; the loss is computed in float32. The gradient of
            `LARGE_LOGITS` numbers or more is made in place: one backward pass a loss.
        targets: One token per row of logits, never `IGNORE_INDEX`.
    """
    if logits.numel() < LARGE_LOGITS:
        total = F.cross_entropy(logits.float(), targets, reduction="sum")
    else:
        total = _LargeLoss.apply(logits, targets)
    assert isinstance(total, Tensor), "a loss is one tensor"
    return total, targets.numel()


class _LargeLoss(Function):
    """Cross entropy that makes one float32 tensor of the logits' size; PyTorch's holds two of them.

    The probabilities are kept, and become the gradient where they lie: it is what they are, less
    one at the target.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        places, highest = targets.unsqueeze(-1), logits.amax(-1, keepdim=True)
        shifted = logits.to(torch.float32, copy=True).sub_(highest)
        wanted = shifted.gather(-1, places)
        probabilities = shifted.exp_()
        sums = probabilities.sum(-1, keepdim=True)
        if ctx.needs_input_grad[0]:
            ctx.kept, ctx.dtype = (probabilities.div_(sums), places), logits.dtype
        return (sums.log() - wanted).sum()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (scale,) = outputs
        (gradient, places), ctx.kept = _once(ctx.kept), None
        gradient.scatter_(-1, places, gradient.gather(-1, places) - 1)
        return gradient.mul_(scale).to(ctx.dtype), None


@no_type_check  # the suite would check it at run time, which cannot be compiled
def loss_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy (float32), and its gradient in the logits' type.

    To be compiled: it reads the logits twice then, and makes no float32 tensor of their size.
    """
    places, exact = targets.unsqueeze(-1), logits.float()
    sums = exact.logsumexp(-1, keepdim=True)
    is_wanted = torch.arange(logits.shape[-1], device=logits.device) == places
    gradient = (exact - sums).exp() - is_wanted.float()
    return (sums - exact.gather(-1, places)).sum(), gradient.to(logits.dtype)


@cache
def compiled_loss() -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return `loss_and_gradient`, compiled for the first number of tokens, then for any."""
    return torch.compile(loss_and_gradient)


def chunked_token_loss(
    hidden: Float[Tensor, "token text_dim"],
    targets: Int[Tensor, " token"],
    *,
    head: Callable[[Tensor], Tensor],
    parameters: Sequence[Tensor],
    chunk_tokens: int,
    is_compiled: bool = False,
) -> tuple[Float[Tensor, ""], int]:
    """Return what `token_loss` returns for the logits of hidden states, which never exist at once.

    Tokens go through the head a chunk at a time. Each chunk's gradients are made while its logits
    are there, and only they are kept: memory holds the logits of one chunk instead of all tokens,
    and nothing is computed twice.

    Why not `torch.nn.functional.linear_cross_entropy`: its chunked path takes a weight, where this
    takes any head (with a bias, an adapter, quantised), and it came after torch 2.11.

    Args:
        hidden: States that the head turns into logits.
        targets: One per state.
        head: Turns states (token x text_dim) into logits (token x vocabulary).
        parameters: What the head computes with; those that learn get their gradients.
        chunk_tokens: Tokens in a chunk.
        is_compiled: Whether loss and gradient of chunks of `LARGE_LOGITS` numbers or more are
            compiled, where gradients are wanted.
    """
    is_learning = torch.is_grad_enabled()
    learnt = [parameter for parameter in parameters if parameter.requires_grad and is_learning]
    total = _ChunkedLoss.apply(hidden, targets, head, chunk_tokens, is_compiled, *learnt)
    assert isinstance(total, Tensor), "a loss is one tensor"
    return total, targets.numel()


class _ChunkedLoss(Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        targets: Tensor,
        head: Callable[[Tensor], Tensor],
        chunk_tokens: int,
        is_compiled: bool,
        *learnt: Tensor,
    ) -> Tensor:
        wanted = ctx.needs_input_grad
        total = hidden.new_zeros((), dtype=torch.float32)
        of_hidden = torch.empty_like(hidden) if wanted[0] else None
        sums: list[Tensor] = []
        for start in range(0, len(hidden), chunk_tokens):
            span = slice(start, start + chunk_tokens)
            chunk = hidden[span].detach().requires_grad_(of_hidden is not None)
            asked = ([chunk] if of_hidden is not None else []) + list(learnt)
            with torch.set_grad_enabled(bool(asked)):
                logits = head(chunk)
                loss, of_logits = _begun(logits, targets[span], is_compiled and bool(asked))
            total += loss.detach()
            if not asked:
                continue
            begin = loss if of_logits is None else logits
            gradients = list(torch.autograd.grad(begin, asked, of_logits))
            del begin, loss, logits, of_logits  # not kept beside what is added up
            if of_hidden is not None:
                of_hidden[span] = gradients.pop(0)
            if len(hidden) <= chunk_tokens:  # one chunk: there is nothing to add up
                sums = gradients
                continue
            # In float32, whatever the type of the parameters: chunks add up like rows of one.
            sums = sums or [torch.zeros_like(each, dtype=torch.float32) for each in learnt]
            for summed in sums:
                summed += gradients.pop(0)
        sums = sums or [torch.zeros_like(parameter) for parameter in learnt]  # of no token
        ctx.gradients = (of_hidden, [s.to(p.dtype) for s, p in zip(sums, learnt, strict=True)])
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (scale,) = outputs
        of_hidden, of_learnt = _once(ctx.gradients)
        ctx.gradients = None  # they are as large as the head: not kept beside its own gradients
        scaled = None if of_hidden is None else of_hidden.mul_(scale)
        # Not in place: those of one chunk are autograd's own, and may share their memory.
        learnt = [of_learnt.pop(0) * scale for _ in range(len(of_learnt))]
        return (scaled, None, None, None, None, *learnt)


def _begun(logits: Tensor, targets: Tensor, is_compiled: bool) -> tuple[Tensor, Tensor | None]:
    """Return the summed loss and, where it is compiled, its gradient."""
    if is_compiled and logits.numel() >= LARGE_LOGITS:
        return compiled_loss()(logits.detach(), targets)
    return token_loss(logits, targets)[0], None


def _once(kept: Any) -> Any:
    """Return what a forward pass kept, which the first backward pass uses up.

    Raises:
        RuntimeError: On a second pass, or where the gradient itself is to be differentiated.
            (`once_differentiable` would let the latter through, wrongly: nothing that comes in
            needs a gradient.)
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "loss.backward: got create_graph=True, allowed: False, since the gradient of this loss "
            "is made in place; for second derivatives call torch.nn.functional.cross_entropy"
        )
    if kept is None:
        raise RuntimeError(
            "loss.backward: got a second pass through the same loss, allowed: one, since its "
            "gradient is made in place; compute the loss again"
        )
    return kept
