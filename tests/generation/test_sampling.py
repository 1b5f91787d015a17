"""Choosing tokens: the right distribution, and what top_k and top_p leave."""

import pytest
import torch

from mmlite.generation import Decoding
from mmlite.generation.sampling import choose_tokens, draw_uniform, keep_probable

PROBABILITIES = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_without_numbers_the_first_of_the_most_probable_is_chosen(dtype: torch.dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 9, (50, 33), generator=generator).to(dtype)  # with many equal ones
    logits[0], logits[1, :-1] = -torch.inf, -torch.inf
    logits[2, 5] = torch.nan
    tokens = choose_tokens(logits, Decoding(), None)
    assert torch.equal(tokens, logits.argmax(dim=-1))
    assert tokens.dtype == torch.int64
    assert tokens[:3].tolist() == [0, 32, 5]


def test_samples_follow_the_distribution_whatever_the_order_of_tokens():
    number = 20_000
    uniform = (torch.arange(number) + 0.5) / number
    logits = PROBABILITIES.log().expand(number, -1)
    tokens = choose_tokens(logits, Decoding(temperature=1.0), uniform)
    frequencies = tokens.bincount(minlength=5) / number
    torch.testing.assert_close(frequencies, PROBABILITIES, atol=1e-3, rtol=0)


def test_temperature_sharpens():
    number = 20_000
    uniform = (torch.arange(number) + 0.5) / number
    logits = PROBABILITIES.log().expand(number, -1)
    tokens = choose_tokens(logits, Decoding(temperature=0.5), uniform)
    expected = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    torch.testing.assert_close(tokens.bincount(minlength=5) / number, expected, atol=1e-3, rtol=0)


def test_no_number_falls_outside_what_is_kept():
    uniform = torch.tensor([0.0, 1 - 2**-24])  # the least and the largest number drawn
    logits = torch.tensor([-torch.inf, 0.0, 0.0, -torch.inf]).expand(2, -1)
    tokens = choose_tokens(logits, Decoding(temperature=1.0), uniform)
    assert tokens.tolist() == [1, 2]


def test_top_k_keeps_the_most_probable():
    kept = keep_probable(PROBABILITIES[None], top_k=2, top_p=1.0)
    assert kept.tolist() == [[False, True, False, True, False]]
    assert keep_probable(PROBABILITIES[None], top_k=9, top_p=1.0).all()


def test_top_p_keeps_the_fewest_that_hold_its_share():
    kept = keep_probable(PROBABILITIES[None], top_k=0, top_p=0.65)
    assert kept.tolist() == [[False, True, False, True, False]]
    kept = keep_probable(PROBABILITIES[None], top_k=0, top_p=0.75)
    assert kept.tolist() == [[False, True, False, True, True]]


def test_top_p_counts_among_what_top_k_left():
    # Of the two that top_k leaves, the first alone holds 4/7.
    kept = keep_probable(PROBABILITIES[None], top_k=2, top_p=0.55)
    assert kept.tolist() == [[False, True, False, False, False]]


def test_numbers_depend_on_the_seed_and_a_longer_answer_draws_the_same_first():
    torch.testing.assert_close(draw_uniform(3, 5), draw_uniform(3, 64)[:5], rtol=0, atol=0)
    assert draw_uniform(3, 5).tolist() != draw_uniform(4, 5).tolist()
