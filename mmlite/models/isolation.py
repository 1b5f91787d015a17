"""Whether a language model keeps examples apart that are packed into one row.

Attention of transformers does, told by positions that start again (`mmlite.packing`). What mixes
tokens in another way does not: convolutions, state spaces and linear attention carry on across the
boundary, learnt positions and ALiBi may count from the beginning of the row. None of them says so,
so it is measured: a few dozen tokens through the model and back, once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mmlite.models.language import LanguageModel

LENGTH = 8
"""Tokens of the example that is looked at."""

TOLERANCE, LOW_PRECISION = 1e-3, 1e-1
"""Relative difference that the length of the example before it may make, which may change the order
of sums: in float32 and float64, and in other types."""


def check_isolation(language: LanguageModel) -> None:
    """Stop where packed examples would be computed otherwise than alone.

    An example is put behind another one. No gradient may flow from it to the other: what attention
    masks gets exactly none, and whatever else mixes tokens lets some through, however little. Nor
    may it matter how long the other is. `sdpa` or `eager` attention is measured, whichever other is
    chosen.

    Raises:
        ValueError: If they are mixed, or the model takes no positions.
    """
    name = str(language.model.config.model_type)
    allowed = (
        "allowed: models in which attention alone mixes tokens and that take positions, such as "
        "qwen3, llama or gemma3; leave pack_tokens out, which makes batches by length"
    )
    try:
        with torch.enable_grad(), _as_is(language):
            flow, difference = _measure(language)
    except TypeError as error:
        raise ValueError(
            f"data.init_args.budget.pack_tokens: got language model {name}, which takes no "
            f"positions ({error}), {allowed}"
        ) from error
    is_precise = language.table.dtype in (torch.float32, torch.float64)
    tolerance = TOLERANCE if is_precise else LOW_PRECISION
    if flow > 0 or difference > tolerance:
        cause = "words" if flow > 0 else "length"
        raise ValueError(
            f"data.init_args.budget.pack_tokens: got language model {name}, in which an example "
            f"depends on the {cause} of the one packed before it, {allowed}"
        )


def _measure(language: LanguageModel) -> tuple[float, float]:
    """Return how much gradient reaches the example before, and what its length changes."""
    table = language.table
    ids = torch.arange(3 * LENGTH, device=table.device) * 7919 % len(table)
    example, other, rest = ids.split(LENGTH)
    shorter = LENGTH - 3
    rows = torch.stack(
        [
            torch.cat([other, example]),
            torch.cat([other[:shorter], example, rest[: LENGTH - shorter]]),
        ]
    )
    positions = [
        [*range(LENGTH), *range(LENGTH)],
        [*range(shorter), *range(LENGTH), *range(LENGTH - shorter)],
    ]
    embedded = language.embed(rows).detach().requires_grad_()
    hidden = language(embedded, None, torch.tensor(positions, device=table.device))
    behind = hidden[0, LENGTH:]
    # Not their sum alone, which norms hold fast.
    weights = torch.linspace(-1, 1, behind.numel(), device=behind.device).view_as(behind)
    (gradient,) = torch.autograd.grad((behind.float() * weights).sum(), embedded)
    flow = float(gradient[0, :LENGTH].float().abs().sum())
    with torch.no_grad():
        return flow, _difference(behind, hidden[1, shorter : shorter + LENGTH])


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).float().norm() / one.float().norm())


@contextmanager
def _as_is(language: LanguageModel) -> Iterator[None]:
    """Let nothing be dropped, and attention be one that runs everywhere."""
    model = language.model
    training = [module for module in model.modules() if module.training]
    attention = str(model.config._attn_implementation)
    model.eval()
    if attention not in ("sdpa", "eager"):
        try:
            model.set_attn_implementation("sdpa")
        except ValueError:  # some have their own way alone
            model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for module in training:
            module.training = True
        if model.config._attn_implementation != attention:
            model.set_attn_implementation(attention)
