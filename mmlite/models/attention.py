"""Attention of packed rows: what flex attention may leave out."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask

BLOCK_TOKENS = 128
"""Queries and keys that flex attention computes, masks or leaves out together; its default."""


def packed_mask(positions: Int[Tensor, "batch token"]) -> BlockMask:
    """Return the mask of flex attention for rows that hold several examples (`mmlite.packing`).

    Each token sees those before it in its own example. Examples lie one behind the other, so that
    the first and the last one of a block tell what it sees. `create_block_mask` makes the same from
    a mask of every pair of tokens: tens of megabytes, or minutes of compiling.

    Args:
        positions: Of tokens; where they are 0, an example begins.
    """
    tokens = positions.shape[1]
    example = (positions == 0).cumsum(1)
    whole_blocks = functional.pad(example.float(), (0, -tokens % BLOCK_TOKENS), mode="replicate")
    blocks = whole_blocks.unflatten(1, (-1, BLOCK_TOKENS))
    first, last = blocks[..., 0], blocks[..., -1]
    place = torch.arange(blocks.shape[1], device=positions.device)
    before = place[:, None] > place
    # Of a block before another one, no example stands behind the other's first.
    is_whole = before & (first[:, None, :] == last[:, :, None])
    is_seen = (place[:, None] >= place) & (last[:, None, :] >= first[:, :, None])

    return BlockMask.from_kv_blocks(
        *_in_order(is_seen & ~is_whole),
        *_in_order(is_whole),
        BLOCK_SIZE=BLOCK_TOKENS,
        # No `def`: the suite would check its arguments, which flex attention cannot compile.
        mask_mod=lambda row, _head, query, key: (
            (query >= key) & (example[row, query] == example[row, key])
        ),
        seq_lengths=(tokens, tokens),
    )


def _in_order(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks of keys each block of queries has, and their numbers, theirs first."""
    chosen = blocks[:, None].to(torch.int32)  # alike for all heads
    numbers = chosen.argsort(dim=-1, descending=True, stable=True)
    return chosen.sum(-1, dtype=torch.int32), numbers.to(torch.int32)
