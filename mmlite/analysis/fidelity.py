"""Fidelity of perception: facts found, missed and invented, without any reasoner.

Counts of facts are summed over questions before ratios are taken. `true` counts written facts
that are in the scene, whether the question needs them or not, so it includes `found`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlite.analysis.intervals import percentile_interval, resampled_sums, summed_strata
from mmlite.analysis.outcomes import FACTS, Outcomes
from mmlite.analysis.questions import Pool, Questions
from mmlite.records import Prediction

FIDELITY_RESAMPLES = 2_000
"""Resamples of an interval that only a chart shows."""

Perceptions = Mapping[tuple[str, str], Mapping[int, Mapping[str, Prediction]]]
"""Perceiver and its size, then seed, then question id, to a prediction with counts of facts."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How well a perceiver wrote down what the questions need.

    Attributes:
        precision: Share of written facts that are in the scene; None when nothing was written.
        recall: Share of needed facts that were written; None when none was needed.
        f1: Harmonic mean of the two; 0 when nothing was written that was needed; None when none
            was needed.
        exact: Share of questions with no fact missed and none invented.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    exact: float | None


def fact_counts(predictions: Iterable[Prediction]) -> np.ndarray:
    """Return the counts of facts, (question, count), of the predictions that have them."""
    rows = [[p.facts[name] for name in FACTS] for p in predictions if p.facts is not None]
    return np.array(rows, dtype=np.int64).reshape(-1, len(FACTS))


def measure(counts: np.ndarray) -> Fidelity:
    """Return the fidelity of counts of facts, (question, count)."""
    found, missed, invented, true = (int(value) for value in counts.sum(axis=0))
    precision = _share(true, true + invented)
    recall = _share(found, found + missed)
    exact = int(((counts[:, 1] == 0) & (counts[:, 2] == 0)).sum())
    f1 = recall and 2 * (precision or 0.0) * recall / ((precision or 0.0) + recall)
    return Fidelity(precision, recall, f1, _share(exact, len(counts)))


def f1_of_sums(sums: np.ndarray) -> np.ndarray:
    """Return F1 from summed counts, (resample, count); not a number where no fact was needed.

    Whoever writes nothing where facts were needed has an F1 of 0 here, so that a perceiver that
    fell silent can be compared with one that speaks.
    """
    found, missed, invented, true = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = true / (true + invented), found / (found + missed)
        f1 = 2 * precision * recall / (precision + recall)
    return np.where(recall == 0, 0.0, f1)


def perceptions(outcomes: Outcomes) -> Perceptions:
    """Return each perceiver's facts once, however many reasoners used its texts."""
    found: dict[tuple[str, str], dict[int, dict[str, Prediction]]] = {}
    for key, seeds in outcomes.by_key.items():
        for seed, answers in seeds.items():
            for identity, prediction in answers.items():
                if prediction.facts is None:
                    continue
                place = found.setdefault((key.perceiver, key.perceiver_size), {})
                place.setdefault(seed, {}).setdefault(identity, prediction)
    return found


def fidelity_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return the fidelity of every perceiver, by seed and pooled, by group and over all."""
    rows = []
    for (perceiver, size), seeds in perceptions(outcomes).items():
        pools: dict[int | str, list[int]] = {seed: [seed] for seed in seeds}
        pools["all"] = list(seeds)
        for seed, members in pools.items():
            for group in ("all", *outcomes.groups):
                pool = {member: _of_group(seeds[member].values(), group) for member in members}
                pool = {member: chosen for member, chosen in pool.items() if chosen}
                if pool:
                    head = {"perceiver": perceiver, "perceiver_size": size, "seed": seed}
                    row = _row(pool, outcomes.questions, f"{head}, {group}")
                    rows.append({**head, "group": group, **row})
    return rows


def _row(pool: Pool, questions: Questions, key: str) -> dict[str, Any]:
    by_seed = [fact_counts(chosen) for chosen in pool.values()]
    counts = np.concatenate(by_seed)
    fidelity = measure(counts)
    clusters = questions.clusters(pool)
    names = None if clusters is None else [clusters[seed] for seed in pool]
    summed = [part[:, :-1] for part in summed_strata(by_seed, names)]
    sums = resampled_sums(summed, key=key, resamples=FIDELITY_RESAMPLES)
    interval = percentile_interval(f1_of_sums(sums)) if fidelity.f1 is not None else None
    totals = dict(zip(FACTS, (int(value) for value in counts.sum(axis=0)), strict=True))
    return {
        "n": len(counts),
        **questions.count(pool),
        **totals,
        "precision": fidelity.precision,
        "recall": fidelity.recall,
        "f1": fidelity.f1,
        "f1_ci_low": interval[0] if interval else None,
        "f1_ci_high": interval[1] if interval else None,
        "exact": fidelity.exact,
    }


def _of_group(predictions: Iterable[Prediction], group: str) -> list[Prediction]:
    return [p for p in predictions if p.facts is not None and group in ("all", p.group)]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
