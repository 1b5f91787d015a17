"""Flex attention in a plan: its kernels, which need a GPU and a compiler, by others' shapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mmlite.models import LanguageModel

FLEX = "flex_attention"
STAND_IN = "flex_attention_by_shape"
"""What transformers knows the kernels by; of a name it has no masks for, it makes none."""


def is_flex(part: nn.Module | None) -> bool:
    """Whether a part is a language model with flex attention."""
    return isinstance(part, LanguageModel) and part.model.config._attn_implementation == FLEX


@contextmanager
def flex_by_shape(part: nn.Module | None) -> Iterator[None]:
    """Let a language model with flex attention run on shapes; others stay as they are.

    Args:
        part: The language model, if there is one.
    """
    if not is_flex(part):
        yield
        return
    assert isinstance(part, LanguageModel), "so it is called flex"
    config = part.model.config
    ALL_ATTENTION_FUNCTIONS[STAND_IN] = _attend
    config._attn_implementation = STAND_IN
    try:
        yield
    finally:
        config._attn_implementation = FLEX
        del ALL_ATTENTION_FUNCTIONS[STAND_IN]


def _attend(
    module: nn.Module,
    query: Float[Tensor, "batch head token head_dim"],
    key: Float[Tensor, "batch kv_head token head_dim"],
    value: Float[Tensor, "batch kv_head token head_dim"],
    attention_mask: Tensor | None,
    **_: Any,
) -> tuple[Float[Tensor, "batch token head head_dim"], None]:
    """Attend without a mask.

    Both kinds of kernels keep queries, keys, values, what they return and a sum for each query;
    the blocks that flex attention leaves out are no smaller to keep (`mmlite.plan.estimate` counts
    the operations of those it does not).
    """
    found = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    return found.transpose(1, 2).contiguous(), None
