"""Intervals and tests: Wilson, exact McNemar, and the bootstrap over questions or clusters."""

import math
from collections.abc import Sequence

import numpy as np

from mmlite.records import content_key

RESAMPLES = 10_000
"""Bootstrap resamples of a paired comparison."""
Z_95 = 1.959963984540054
"""97.5 % point of the standard normal distribution, for two-sided 95 % intervals."""

Interval = tuple[float, float]


def wilson(correct: int, total: int) -> Interval:
    """Return the 95 % score interval of a share (Wilson 1927, JASA 22:209-212).

    Args:
        correct: How many are right.
        total: Out of how many; with none, nothing is known: 0 to 1.
    """
    if total == 0:
        return 0.0, 1.0
    share, z2 = correct / total, Z_95**2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    half = Z_95 * spread / (1 + z2 / total)
    return max(0.0, center - half), min(1.0, center + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Questions that both or neither got right say nothing; of the others, each system would have
    half if the two were equally good (binomial test).

    Args:
        first_only: Questions only the first system got right.
        second_only: Questions only the second system got right.
    """
    from scipy.stats import binom

    total, fewer = first_only + second_only, min(first_only, second_only)
    return min(1.0, 2.0 * float(binom.cdf(fewer, total, 0.5))) if total else 1.0


def cluster_sums(values: np.ndarray, clusters: Sequence[str]) -> np.ndarray:
    """Sum the rows of each cluster, so that clusters can be resampled whole.

    Args:
        values: One row a question, (question, column).
        clusters: The cluster of each question; an empty one stands alone.

    Returns:
        Sums, (cluster, column), and in a last column the number of questions.
    """
    names = [name or f" {number}" for number, name in enumerate(clusters)]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    sums = np.zeros((len(order), values.shape[1] + 1))
    counted = np.hstack([values, np.ones((len(values), 1))])
    np.add.at(sums, [order[name] for name in names], counted)
    return sums


def summed_strata(
    strata: Sequence[np.ndarray], clusters: Sequence[Sequence[str]] | None
) -> list[np.ndarray]:
    """Sum the rows of each cluster of several seeds, for `resampled_sums`.

    Args:
        strata: One array (question, column) for each seed.
        clusters: For each seed the cluster of each question; None: each stands alone.

    Returns:
        What `cluster_sums` returns, for each seed; where a cluster has questions in several seeds,
        one array for all, so that it is drawn in all or in none of them.
    """
    if clusters is None:
        return [cluster_sums(values, [""] * len(values)) for values in strata]
    known = [set(names) - {""} for names in clusters]
    if sum(map(len, known)) > len(set().union(*known)):
        names = [name for of_seed in clusters for name in of_seed]
        return [cluster_sums(np.concatenate(strata), names)]
    return [cluster_sums(values, names) for values, names in zip(strata, clusters, strict=True)]


def resampled_sums(
    strata: Sequence[np.ndarray], *, key: str, resamples: int = RESAMPLES
) -> np.ndarray:
    """Sum the columns over questions drawn with replacement within each stratum.

    Drawing n of n questions is one multinomial draw over the distinct rows, which is the same
    distribution and far fewer numbers.

    Args:
        strata: One array (question or cluster, column) for each seed, or one for all of them; a
            resample keeps the number of rows of each.
        key: Names the comparison; the random numbers depend on it alone.
        resamples: How many resamples.

    Returns:
        Sums, (resample, column).
    """
    rng = np.random.default_rng(int(content_key("bootstrap", key), 16))
    total = np.zeros((resamples, strata[0].shape[1]))
    for rows in strata:
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        drawn = rng.multinomial(len(rows), counts / len(rows), size=resamples)
        total += drawn @ distinct
    return total


def percentile_interval(values: np.ndarray) -> Interval | None:
    """Return the 95 % percentile interval, without undefined values; None if nothing is left."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_mean(
    strata: Sequence[np.ndarray], *, key: str, clusters: Sequence[Sequence[str]] | None = None
) -> Interval:
    """Return the interval of a mean over questions of several seeds.

    Args:
        strata: One array of values, one a question, for each seed.
        key: As in `resampled_sums`.
        clusters: For each seed the cluster of each question; clusters are drawn whole, from all
            seeds at once where they have one name in several. None: questions are independent.
    """
    interval = percentile_interval(resampled_means(strata, key=key, clusters=clusters))
    assert interval is not None
    return interval


def resampled_means(
    strata: Sequence[np.ndarray], *, key: str, clusters: Sequence[Sequence[str]] | None = None
) -> np.ndarray:
    """Return the mean of each resample; arguments as for `bootstrap_mean`."""
    columns = [np.asarray(values, dtype=float)[:, None] for values in strata]
    if clusters is None:
        return resampled_sums(columns, key=key)[:, 0] / sum(len(values) for values in strata)
    sums = resampled_sums(summed_strata(columns, clusters), key=key)
    return sums[:, 0] / sums[:, 1]


def count_unequal(strata: Sequence[np.ndarray], clusters: Sequence[Sequence[str]] | None) -> int:
    """Return in how many questions, or clusters as a whole, a paired difference is not zero.

    Args:
        strata: One array of differences, one a question, for each seed.
        clusters: As in `bootstrap_mean`.
    """
    summed = summed_strata([np.asarray(values)[:, None] for values in strata], clusters)
    return sum(int((rows[:, 0] != 0).sum()) for rows in summed)


def bootstrap_p(differences: np.ndarray, *, unequal: int | None = None) -> float:
    """Return the two-sided bootstrap p-value of a difference being zero.

    Args:
        differences: One a resample; undefined ones are left out.
        unequal: Questions or clusters in which the two differ. Resamples of a few agree whatever
            they say, so p is at least what an exact sign test of as many gives when all agree:
            two in 2^unequal. None: they are many.
    """
    known = differences[np.isfinite(differences)]
    below, above = int((known <= 0).sum()), int((known >= 0).sum())
    p = 2 * (min(below, above) + 1) / (len(known) + 1)
    return min(1.0, max(p, 0.0 if unequal is None else 2.0 ** (1 - unequal)))
