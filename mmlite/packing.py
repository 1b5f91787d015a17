"""Packing: several examples in one row of a batch, each as if it were alone.

Positions start at 0 with every example. Language models of transformers see from positions that
start again, given without an attention mask, where one example ends and the next begins: with
`sdpa` and `eager` attention they mask what lies in other examples, with `flex_attention` they skip
such blocks, with `flash_attention_2` they call its variable-length kernel, if a batch is one
row (language models refuse more). Padding at the end of a row makes short examples of its own that
nobody learns from.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import torch
from torch.nn import functional

from mmlite.batch import IGNORE_INDEX, Batch

FILLING_TOKENS = 128
"""Of the examples that padding makes: the attention of one long one would cost like a long text."""


def pack(batch: Batch, sizes: Sequence[int], *, pad_id: int) -> Batch:
    """Lay the examples of a batch side by side in fewer rows.

    Images stay in the order of their placeholders, since examples do.

    Args:
        batch: One example a row, padded on either side.
        sizes: How many examples go into each packed row, in order; all of them together.
        pad_id: Id of the token that fills rows up; must not be the image token.

    Returns:
        The same tokens and images; rows are as long as the longest of them.
    """
    assert sum(sizes) == len(batch.input_ids), "every example has its place"
    lengths = batch.attention_mask.sum(1).tolist()
    rows = [range(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]
    longest = max(sum(lengths[example] for example in row) for row in rows)
    shape = (len(rows), longest)
    input_ids, labels = torch.full(shape, pad_id), torch.full(shape, IGNORE_INDEX)
    mask, positions = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.long)
    for number, row in enumerate(rows):
        start = 0
        for example in row:
            kept, span = batch.attention_mask[example], slice(start, start + lengths[example])
            input_ids[number, span] = batch.input_ids[example, kept]
            labels[number, span] = batch.labels[example, kept]
            # The token before it belongs to another example, so it cannot be learnt from there.
            labels[number, start] = IGNORE_INDEX
            mask[number, span] = True
            positions[number, span] = torch.arange(lengths[example])
            start = span.stop
        positions[number, start:] = torch.arange(longest - start) % FILLING_TOKENS
    return replace(
        batch,
        input_ids=input_ids,
        labels=labels,
        attention_mask=mask,
        position_ids=positions,
        pads_left=False,
        counts=None,
        supervised=None,
        image_places=None,
    )


def padded_length(tokens: int, multiple: int) -> int:
    """Return the length of a row of so many tokens that is padded to a multiple."""
    return -(-tokens // multiple) * multiple


def pad_to(batch: Batch, multiple: int, *, pad_id: int) -> Batch:
    """Pad the rows of a batch until their length is a multiple of so many tokens.

    Args:
        batch: Padded behind its rows, packed or not.
        multiple: 1 leaves it as it is. Rows may get no longer than a model's learnt positions
            reach.
        pad_id: Id of the token that fills rows up; must not be the image token.
    """
    length = batch.input_ids.shape[1]
    more = padded_length(length, multiple) - length
    if not more:
        return batch
    assert not batch.pads_left, "batches that are learnt from are padded behind"
    positions = batch.position_ids
    if positions is not None:  # what fills a row up makes examples of its own
        begins = torch.where(batch.attention_mask[:, -1:], 0, positions[:, -1:] + 1)
        filling = (begins + torch.arange(more)) % FILLING_TOKENS
        positions = torch.cat([positions, filling], dim=1)
    return replace(
        batch,
        input_ids=functional.pad(batch.input_ids, (0, more), value=pad_id),
        labels=functional.pad(batch.labels, (0, more), value=IGNORE_INDEX),
        attention_mask=functional.pad(batch.attention_mask, (0, more), value=False),
        position_ids=positions,
        counts=None,
        supervised=None,
        image_places=None,
    )
