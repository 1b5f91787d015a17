"""Consistency: how many clusters of dependent questions were answered without any mistake.

NLVR asks about several pictures with one sentence; its consistency is the share of sentences all
of whose pictures are right (Suhr et al., ACL 2017).
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from mmlite.analysis.intervals import bootstrap_mean, wilson
from mmlite.analysis.questions import Pool, Questions


class Consistency(NamedTuple):
    """Share of clusters that are right as a whole; None where questions stand alone.

    Attributes:
        clusters: How many different clusters there are; over several seeds each counts once where
            its questions recur.
        consistency: Share with every question right, over all clusters of all seeds.
        consistency_ci_low: Lower end of its 95 % interval: Wilson over clusters, or a bootstrap
            over those that recur.
        consistency_ci_high: Upper end.
    """

    clusters: int | None = None
    consistency: float | None = None
    consistency_ci_low: float | None = None
    consistency_ci_high: float | None = None


def consistency_of(pool: Pool, questions: Questions, *, key: str) -> Consistency:
    """Return the consistency of one system's predictions.

    Args:
        pool: Its predictions.
        questions: All questions of the study.
        key: Names the pool, for the bootstrap's random numbers.
    """
    drawn = questions.clusters(pool) or {}
    right: dict[int, dict[str, bool]] = defaultdict(dict)
    units: dict[int, dict[str, str]] = defaultdict(dict)
    for seed, names in drawn.items():
        for prediction, name in zip(pool[seed], names, strict=True):
            if cluster := prediction.cluster:
                right[seed][cluster] = right[seed].get(cluster, True) and prediction.correct
                units[seed][cluster] = name
    if not right:
        return Consistency()
    strata = [np.array(list(whole.values()), dtype=float) for whole in right.values()]
    total, whole = sum(map(len, strata)), sum(int(values.sum()) for values in strata)
    clusters = [list(names.values()) for names in units.values()]
    distinct = len({name for names in clusters for name in names})
    if distinct == total:
        low, high = wilson(whole, total)
    elif 0 < whole < total:
        low, high = bootstrap_mean(strata, key=f"consistency, {key}", clusters=clusters)
    else:
        low, high = wilson(distinct if whole else 0, distinct)
    return Consistency(distinct, whole / total, low, high)
