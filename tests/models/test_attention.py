"""The mask of packed rows is that of every pair of tokens, block by block."""

import pytest
import torch
from tiny import tiny_language_of
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from mmlite.models.attention import BLOCK_TOKENS, packed_mask

LENGTHS = [
    [(128, 256, 128)],
    [(100, 28, 300, 84), (512,)],
    [(1, 1, 126, 130, 1), (3, 253, 3), (200, 59)],
    [(70,)],
]


def positions_of(rows) -> torch.Tensor:
    return torch.stack([torch.cat([torch.arange(size) for size in row]) for row in rows])


def blocks_of(mask: BlockMask) -> tuple[list, list]:
    """Return, for each row and block of queries, the blocks of keys: some of them seen, and all."""
    found = []
    for numbers, counts in (
        (mask.kv_indices, mask.kv_num_blocks),
        (mask.full_kv_indices, mask.full_kv_num_blocks),
    ):
        assert numbers is not None
        assert counts is not None
        found.append(
            [
                [sorted(n[:count].tolist()) for n, count in zip(row, many, strict=True)]
                for row, many in zip(numbers[:, 0], counts[:, 0].tolist(), strict=True)
            ]
        )
    return found[0], found[1]


@pytest.mark.parametrize("rows", LENGTHS, ids=str)
def test_a_packed_mask_is_that_of_every_pair_of_tokens(rows):
    positions = positions_of(rows)
    batch, tokens = positions.shape
    example = (positions == 0).cumsum(1)
    place = torch.arange(tokens)
    seen = (place[:, None] >= place) & (example[:, :, None] == example[:, None, :])

    mask = packed_mask(positions)
    assert mask.shape == (batch, 1, tokens, tokens)
    zero = torch.tensor(0)
    for row in range(batch):
        for query in range(0, tokens, 7):
            told = mask.mask_mod(torch.tensor(row), zero, torch.tensor(query), place)
            assert torch.equal(told, seen[row, query])

    expected = create_block_mask(
        lambda b, _h, q, k: seen[b, q, k], batch, None, tokens, tokens, device="cpu"
    )
    if tokens % BLOCK_TOKENS == 0:  # else PyTorch calls a block whole by what lies behind the rows
        assert blocks_of(mask) == blocks_of(expected)
    some, whole = blocks_of(mask)
    together = [
        [sorted(a + b) for a, b in zip(*pair, strict=True)]
        for pair in zip(some, whole, strict=True)
    ]
    some, whole = blocks_of(expected)
    assert together == [
        [sorted(a + b) for a, b in zip(*pair, strict=True)]
        for pair in zip(some, whole, strict=True)
    ]


def test_flex_attention_takes_the_mask_whole():
    """Its compiler, that is: where it stops at something, gradients fail on a GPU."""
    positions = positions_of([(100, 28, 300, 84)])
    example, place = (positions == 0).cumsum(1)[0], torch.arange(512)
    seen = (place[:, None] >= place) & (example[:, None] == example)
    states = torch.randn(3, 1, 2, 512, 16, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(flex_attention, fullgraph=True, backend="eager")
    with torch.no_grad():
        queries, keys, values = states
        found = compiled(queries, keys, values, block_mask=packed_mask(positions))
    torch.testing.assert_close(found, scaled_dot_product_attention(*states, attn_mask=seen))


@pytest.mark.parametrize(
    ("model_type", "more", "is_taken"),
    [
        ("qwen3", {}, True),
        ("llama", {}, True),
        ("mistral", {"sliding_window": 8}, False),
        ("gemma3_text", {"sliding_window": 8, "query_pre_attn_scalar": 8}, False),
    ],
)
def test_only_models_whose_blocks_see_alike_are_given_the_mask(model_type, more, is_taken):
    language = tiny_language_of(model_type, 20, "flex_attention", **more)
    given = []

    def attend(**arguments):
        given.append(arguments["attention_mask"])
        raise InterruptedError

    language.model.base_model.forward = attend  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad(), pytest.raises(InterruptedError):
        language(torch.zeros(1, 8, language.dim), None, positions_of([(5, 3)]))
    assert isinstance(given[0], BlockMask) == is_taken
