"""Whether a language model keeps examples apart that are packed into one row.

Attention of transformers does, told by positions that start again (`mmlite.packing`). What mixes
tokens in another way does not: convolutions, state spaces and linear attention carry on across the
boundary, learnt positions and ALiBi may count from the beginning of the row. None of them says so,
so it is measured: a dozen tokens through the model, once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mmlite.models.language import LanguageModel

LENGTH = 8
"""Tokens of the example that is looked at."""

TOLERANCES = {torch.float32: (1e-6, 1e-3)}
"""By type: relative difference that another example's words and its length may make.

What is masked counts exactly nothing, so words make none at all in models that keep examples apart;
another length may change the order of sums. Fresh weights can let so little through as 1e-5.
"""

LOW_PRECISION = (1e-3, 1e-1)
"""The same for bfloat16 and float16."""


def check_isolation(language: LanguageModel) -> None:
    """Stop where packed examples would be computed otherwise than alone.

    The same example is put behind another one, behind one with other words, and behind a shorter
    one. Its hidden states must be the same. `sdpa` or `eager` attention is measured, whichever
    other is chosen: what matters is what else mixes tokens.

    Raises:
        ValueError: If they are not, or the model takes no positions.
    """
    name = str(language.model.config.model_type)
    allowed = (
        "allowed: models in which attention alone mixes tokens and that take positions, such as "
        "qwen3, llama or gemma3; leave pack_tokens out, which makes batches by length"
    )
    try:
        with torch.no_grad(), _as_is(language):
            other_words, other_length = _differences(language)
    except TypeError as error:
        raise ValueError(
            f"data.init_args.budget.pack_tokens: got language model {name}, which takes no "
            f"positions ({error}), {allowed}"
        ) from error
    words, length = TOLERANCES.get(language.table.dtype, LOW_PRECISION)
    if other_words > words or other_length > length:
        cause = "words" if other_words > words else "length"
        raise ValueError(
            f"data.init_args.budget.pack_tokens: got language model {name}, in which an example "
            f"depends on the {cause} of the one packed before it (its hidden states change by "
            f"{max(other_words, other_length):.1g} of their size), {allowed}"
        )


def _differences(language: LanguageModel) -> tuple[float, float]:
    """Return how far another example's words, and its length, change the one behind it."""
    table = language.table
    ids = torch.arange(4 * LENGTH, device=table.device) * 7919 % len(table)
    example, first, second, rest = ids.split(LENGTH)
    shorter = LENGTH - 3
    rows = torch.stack(
        [
            torch.cat([first, example]),
            torch.cat([second, example]),
            torch.cat([first[:shorter], example, rest[: LENGTH - shorter]]),
        ]
    )
    positions = [
        [*range(LENGTH), *range(LENGTH)],
        [*range(LENGTH), *range(LENGTH)],
        [*range(shorter), *range(LENGTH), *range(LENGTH - shorter)],
    ]
    embedded = language.embed(rows)
    hidden = language(embedded, None, torch.tensor(positions, device=table.device))
    behind, behind_other = hidden[0, LENGTH:], hidden[1, LENGTH:]
    behind_shorter = hidden[2, shorter : shorter + LENGTH]
    return _difference(behind, behind_other), _difference(behind, behind_shorter)


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
