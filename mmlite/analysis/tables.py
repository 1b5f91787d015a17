"""The results table: accuracy of every system by group and by kind of question."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmlite.analysis.consistency import Consistency, consistency_of
from mmlite.analysis.fidelity import fact_counts, measure
from mmlite.analysis.intervals import bootstrap_mean, wilson
from mmlite.analysis.outcomes import Key, Outcomes
from mmlite.analysis.questions import Pool, Questions

COLUMNS = (
    "perceiver",
    "perceiver_size",
    "reasoner",
    "reasoner_size",
    "system",
    "seed",
    "category",
    "group",
    "n",
    "questions",
    "correct",
    "unparsed",
    "accuracy",
    "ci_low",
    "ci_high",
    "interval",
    *Consistency._fields,
    "fact_precision",
    "fact_recall",
    "fact_f1",
    "extraction_exact",
)
"""Columns of `results.csv`; the rows of `results.json` have the same keys.

`questions` is among them where questions recur in several seeds.
"""

Row = dict[str, Any]


def result_rows(outcomes: Outcomes) -> list[Row]:
    """Return the rows of the results: by seed and pooled, by group and by kind of question."""
    rows = []
    for key in outcomes.by_key:
        for group, kinds in outcomes.groups.items():
            for category in ("all", *kinds):
                chosen = outcomes.select(
                    key, group=group, category=None if category == "all" else category
                )
                pools: dict[int | str, Pool] = {
                    seed: {seed: predictions} for seed, predictions in chosen.items()
                }
                if chosen:
                    pools["all"] = chosen
                rows += [
                    _row(key, seed, category, group, pool, outcomes.questions)
                    for seed, pool in pools.items()
                ]
    return rows


def _row(
    key: Key, seed: int | str, category: str, group: str, pool: Pool, questions: Questions
) -> Row:
    predictions = [prediction for part in pool.values() for prediction in part]
    correct, total = sum(p.correct for p in predictions), len(predictions)
    name = f"{key}, {group}, {category}"
    consistency = consistency_of(pool, questions, key=name)
    low, high, interval = _interval(pool, questions, consistency, key=name)
    counts = fact_counts(predictions)
    fidelity = measure(counts) if len(counts) else None
    return {
        "perceiver": key.perceiver,
        "perceiver_size": key.perceiver_size,
        "reasoner": key.reasoner,
        "reasoner_size": key.reasoner_size,
        "system": key.system,
        "seed": seed,
        "category": category,
        "group": group,
        "n": total,
        **questions.count(pool),
        "correct": correct,
        "unparsed": sum(p.parsed is None for p in predictions),
        "accuracy": correct / total,
        "ci_low": low,
        "ci_high": high,
        "interval": interval,
        **consistency._asdict(),
        "fact_precision": fidelity.precision if fidelity else None,
        "fact_recall": fidelity.recall if fidelity else None,
        "fact_f1": fidelity.f1 if fidelity else None,
        "extraction_exact": fidelity.exact if fidelity else None,
    }


def _interval(
    pool: Pool, questions: Questions, consistency: Consistency, *, key: str
) -> tuple[float, float, str]:
    """Return the interval of an accuracy, and what kind of interval it is."""
    strata = [np.array([p.correct for p in part], dtype=float) for part in pool.values()]
    correct, total = sum(int(values.sum()) for values in strata), sum(map(len, strata))
    clusters, clustered = questions.clusters(pool), consistency.clusters is not None
    if (len(pool) > 1 or clustered) and 0 < correct < total:
        of_pool = None if clusters is None else [clusters[seed] for seed in pool]
        ends = bootstrap_mean(strata, key=key, clusters=of_pool)
        return *ends, "cluster bootstrap" if clustered else "bootstrap"
    if consistency.clusters:  # no question tells a cluster from another one
        distinct = consistency.clusters
        return *wilson(distinct if correct else 0, distinct), "wilson over clusters"
    if clusters is not None:  # nor one seed from another one
        distinct = questions.count(pool)["questions"]
        return *wilson(distinct if correct else 0, distinct), "wilson over questions"
    return *wilson(correct, total), "wilson"


class Table:
    """Looks rows of the results up."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows: dict[tuple[str, ...], Row] = {
            (
                row["system"],
                row["perceiver"],
                row["perceiver_size"],
                row["reasoner"],
                row["reasoner_size"],
                row["group"],
                row["category"],
            ): row
            for row in rows
            if row["seed"] == "all"
        }

    def pooled(self, key: Key | None, group: str, category: str = "all") -> Row | None:
        """Return the row over all seeds; None if there is none."""
        return self._rows.get((*key, group, category)) if key else None


def chance_of(
    outcomes: Outcomes, chance: Mapping[str, float], group: str, *, key: Key | None
) -> float | None:
    """Return the accuracy of the best constant guess on a group; None if it is not known.

    Args:
        outcomes: All predictions.
        chance: Kind of question to the accuracy of its best constant guess.
        group: Group of kinds.
        key: Whose questions are counted, to weigh the kinds.
    """
    if key is None:
        return None
    kinds = [p.category for part in outcomes.select(key, group=group).values() for p in part]
    if not kinds or any(kind not in chance for kind in kinds):
        return None
    return sum(chance[kind] for kind in kinds) / len(kinds)
