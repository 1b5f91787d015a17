import numpy as np
import pytest
from scipy.stats import binomtest

from mmlite.analysis.intervals import (
    bootstrap_mean,
    bootstrap_p,
    mcnemar,
    percentile_interval,
    resampled_sums,
    wilson,
)


def test_wilson_of_eight_of_ten() -> None:
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=5e-4)


@pytest.mark.parametrize(("correct", "total"), [(0, 7), (7, 7), (81, 263), (15, 148)])
def test_wilson_equals_scipy(correct: int, total: int) -> None:
    expected = binomtest(correct, total).proportion_ci(method="wilson")
    assert wilson(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_mcnemar_by_hand() -> None:
    # 5 against 1: two tails of the six-coin binomial, 2 * (1 + 6) / 64.
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(1, 5) == mcnemar(5, 1)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 3), (0, 12), (40, 17)])
def test_mcnemar_equals_exact_binomial(b: int, c: int) -> None:
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected)


def test_bootstrap_of_a_share_is_near_its_normal_interval() -> None:
    values = np.array([1.0] * 300 + [0.0] * 700)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert bootstrap_mean([values], key="a") == pytest.approx((0.3 - half, 0.3 + half), abs=0.003)


def test_bootstrap_draws_within_seeds() -> None:
    # Each seed alone is certain, so nothing can vary, however different the seeds are.
    assert bootstrap_mean([np.ones(50), np.zeros(50)], key="a") == (0.5, 0.5)


def test_bootstrap_depends_on_its_key_alone() -> None:
    rows = [np.arange(12.0).reshape(6, 2)]
    assert np.array_equal(resampled_sums(rows, key="a"), resampled_sums(rows, key="a"))
    assert not np.array_equal(resampled_sums(rows, key="a"), resampled_sums(rows, key="b"))


def test_resamples_keep_rows_together() -> None:
    sums = resampled_sums([np.array([[1, 10], [2, 20], [2, 20]])], key="a", resamples=200)
    assert np.array_equal(sums[:, 1], 10 * sums[:, 0])
    assert sums[:, 0].min() >= 3
    assert sums[:, 0].max() <= 6


def test_bootstrap_p_is_small_when_all_resamples_agree() -> None:
    assert bootstrap_p(np.full(999, 0.2)) == pytest.approx(2 / 1000)
    assert bootstrap_p(np.array([-1.0, 1.0] * 100)) == 1.0


def test_undefined_resamples_are_left_out() -> None:
    assert percentile_interval(np.array([np.nan, 0.5])) == (0.5, 0.5)
    assert percentile_interval(np.array([np.nan])) is None
