"""Consistency: how many clusters of dependent questions were answered without any mistake.

NLVR asks about several pictures with one sentence; its consistency is the share of sentences all
of whose pictures are right (Suhr et al., ACL 2017).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mmlite.analysis.intervals import wilson
from mmlite.records import Prediction


class Consistency(NamedTuple):
    """Share of clusters that are right as a whole; None where questions stand alone.

    Attributes:
        clusters: How many clusters there are, over all seeds.
        consistency: Share of them with every question right.
        consistency_ci_low: Lower end of its 95 % interval (Wilson over clusters).
        consistency_ci_high: Upper end.
    """

    clusters: int | None = None
    consistency: float | None = None
    consistency_ci_low: float | None = None
    consistency_ci_high: float | None = None


def consistency_of(pool: Mapping[int, Iterable[Prediction]]) -> Consistency:
    """Return the consistency of one system's predictions by seed."""
    right: dict[tuple[int, str], bool] = {}
    for seed, predictions in pool.items():
        for prediction in predictions:
            if prediction.cluster:
                name = seed, prediction.cluster
                right[name] = right.get(name, True) and prediction.correct
    if not right:
        return Consistency()
    total, whole = len(right), sum(right.values())
    low, high = wilson(whole, total)
    return Consistency(total, whole / total, low, high)
