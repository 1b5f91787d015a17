"""Paired comparisons of systems on the same questions, with exact tests and intervals."""

from typing import Any

import numpy as np

from mmlite.analysis.intervals import (
    bootstrap_p,
    count_unequal,
    mcnemar,
    percentile_interval,
    resampled_means,
)
from mmlite.analysis.outcomes import Key, Outcomes, Pairs

PAIRS = (
    ("extract_think", "end_to_end"),
    ("extract_think", "caption_think"),
    ("extract_think", "extract_answer"),
    ("extract_answer", "end_to_end"),
    ("extract_answer", "caption_answer"),
    ("caption_answer", "end_to_end"),
    ("end_to_end", "end_to_end_blind"),
)
"""Systems that are compared, at each size and with each published model: first minus second."""


def comparison_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return every pair of systems at every size or model that has both, by group and by seed."""
    rows = []
    for first, second in PAIRS:
        for size in outcomes.sizes_and_models:
            keys = outcomes.at_size(first, size), outcomes.at_size(second, size)
            if keys[0] is None or keys[1] is None:
                continue
            for group in outcomes.groups:
                seeds = outcomes.paired(keys[0], keys[1], group=group).answers
                pools: dict[int | str, list[int]] = {seed: [seed] for seed in seeds}
                if seeds:
                    pools["all"] = list(seeds)
                for seed, pool in pools.items():
                    head = {"first": first, "second": second, "size": size, "group": group}
                    pairs = outcomes.paired(keys[0], keys[1], group=group, seeds=pool)
                    rows.append({**head, "seed": seed, **compare(pairs, key=f"{head}, {seed}")})
    return rows


def compare(pairs: Pairs, *, key: str) -> dict[str, Any]:
    """Compare two systems on the same questions.

    Args:
        pairs: Their answers.
        key: Names the comparison, for the bootstrap's random numbers.

    Returns:
        n, where questions recur how many different ones, the accuracies, b (only the first was
        right), c (only the second), the difference with its bootstrap interval, and a p-value with
        its test: exact McNemar for independent questions, else the bootstrap over clusters, since
        McNemar's test would take six permutations of one picture for six pictures.
    """
    both = np.concatenate(list(pairs.answers.values()))
    first, second = both[:, 0], both[:, 1]
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    strata = [values[:, 0] - values[:, 1] for values in pairs.answers.values()]
    names = None if pairs.clusters is None else [pairs.clusters[seed] for seed in pairs.answers]
    drawn = resampled_means(strata, key=key, clusters=names)
    interval = percentile_interval(drawn)
    assert interval is not None
    if names is None:
        p = mcnemar(only_first, only_second)
    else:
        p = bootstrap_p(drawn, unequal=count_unequal(strata, names))
    return {
        "n": len(both),
        **pairs.questions,
        "first_accuracy": float(first.mean()),
        "second_accuracy": float(second.mean()),
        "b": only_first,
        "c": only_second,
        "p": p,
        "test": "mcnemar" if names is None else "bootstrap",
        "difference": (only_first - only_second) / len(both),
        "ci_low": interval[0],
        "ci_high": interval[1],
    }


def compare_keys(
    outcomes: Outcomes, first: Key | None, second: Key | None, *, group: str
) -> tuple[dict[str, Any], list[float]] | None:
    """Compare two ways of answering on one group.

    Returns:
        What `compare` returns, and the difference of each seed; None if there is nothing to
        compare.
    """
    if first is None or second is None:
        return None
    pairs = outcomes.paired(first, second, group=group)
    if not pairs.answers:
        return None
    result = compare(pairs, key=f"{first}, {second}, {group}")
    return result, [float((v[:, 0] - v[:, 1]).mean()) for v in pairs.answers.values()]
