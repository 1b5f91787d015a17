"""The paper's findings as this study measured them (arXiv:2511.17487).

Each is a difference with its interval and a verdict: it holds when the interval is above zero,
it does not when the interval is below, and it is unclear when zero lies inside.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmlite.analysis.comparisons import compare_keys
from mmlite.analysis.fidelity import f1_of_sums, fact_counts, perceptions
from mmlite.analysis.intervals import (
    Interval,
    bootstrap_p,
    cluster_sums,
    percentile_interval,
    resampled_means,
    resampled_sums,
)
from mmlite.analysis.outcomes import Key, Outcomes, group_label, system_label
from mmlite.records import Prediction

Holds = bool | Literal["unclear"]

TITLES: Mapping[str, str] = {
    "vision_falls_most": "Vision falls more than language when the model shrinks",
    "perception_falls": "Perception itself falls",
    "perceiver_shrinks": "Shrinking only the perceiver hurts",
    "reasoner_shrinks": "Shrinking only the reasoner hurts",
    "extraction_beats_captioning": "Extraction beats captioning",
    "thinking_helps": "Thinking helps",
    "extract_think_beats_end_to_end": "Extract+Think beats end-to-end",
}
"""Findings in the order they are shown."""

_LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding at one size and on one group of questions.

    Attributes:
        finding: Key of `TITLES`.
        statement: What was compared, in words.
        compared: The same without the group.
        group: Group of questions.
        size: Language-model size, or largest and smallest.
        holds: True, false, or unclear when the interval contains zero.
        difference: What speaks for the finding when it is positive.
        ci_low: Lower end of its 95 % interval.
        ci_high: Upper end.
        p: Two-sided p-value of no difference.
        test: Which test `p` is of: mcnemar (exact) or bootstrap.
        n: Questions that were compared, over all seeds.
        per_seed: The difference in each seed, ascending.
    """

    finding: str
    statement: str
    compared: str
    group: str
    size: str
    holds: Holds
    difference: float
    ci_low: float
    ci_high: float
    p: float
    test: str
    n: int
    per_seed: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        return dataclasses.asdict(self)


def verdict(interval: Interval) -> Holds:
    """Return whether a difference is above zero: true, false, or unclear."""
    low, high = interval
    if low > 0:
        return True
    return False if high < 0 else "unclear"


def measure_findings(outcomes: Outcomes) -> tuple[list[Finding], list[dict[str, str]]]:
    """Return the findings that can be measured, and of the others why they cannot."""
    found = [
        *_vision_falls_most(outcomes),
        *_perception_falls(outcomes),
        *_part_shrinks(outcomes),
        *_systems(outcomes, "extraction_beats_captioning", "caption_think"),
        *_systems(outcomes, "thinking_helps", "extract_answer"),
        *_systems(outcomes, "extract_think_beats_end_to_end", "end_to_end"),
    ]
    reason = "the systems, sizes or groups that it compares were not all run"
    missing = set(TITLES) - {finding.finding for finding in found}
    return found, [{"finding": name, "reason": reason} for name in TITLES if name in missing]


def _systems(outcomes: Outcomes, finding: str, other: str) -> list[Finding]:
    """Compare Extract+Think with another system, at every size and by group."""
    found = []
    everywhere = finding == "extract_think_beats_end_to_end"
    for size in outcomes.sizes:
        for group in outcomes.groups:
            first, second = outcomes.at_size("extract_think", size), outcomes.at_size(other, size)
            if everywhere or group != _LANGUAGE:
                words = f"{system_label('extract_think')} minus {system_label(other)}"
                found += _accuracy_finding(outcomes, (first, second), (finding, words, group, size))
    return found


def _part_shrinks(outcomes: Outcomes) -> list[Finding]:
    """Shrink one part of Extract+Think, the other staying at the largest size."""
    sizes = outcomes.sizes_of("extract_think")
    if len(sizes) < 2:
        return []
    small, large = sizes[0], sizes[-1]
    found = []
    for finding, part, shrunk in (
        ("perceiver_shrinks", "perceiver", (small, large)),
        ("reasoner_shrinks", "reasoner", (large, small)),
    ):
        keys = (
            outcomes.find("extract_think", large, large),
            outcomes.find("extract_think", *shrunk),
        )
        for group in outcomes.groups:
            words = f"Extract+Think at {large} minus the same with its {part} at {small}"
            if group != _LANGUAGE:
                found += _accuracy_finding(
                    outcomes, keys, (finding, words, group, f"{large} to {small}")
                )
    return found


def _accuracy_finding(
    outcomes: Outcomes, keys: tuple[Key | None, Key | None], head: tuple[str, str, str, str]
) -> list[Finding]:
    finding, words, group, size = head
    compared = compare_keys(outcomes, *keys, group=group)
    if compared is None:
        return []
    result, per_seed = compared
    return [
        Finding(
            finding=finding,
            statement=f"{words}, accuracy on {group_label(group)} questions",
            compared=f"{words}, accuracy",
            group=group,
            size=size,
            holds=verdict((result["ci_low"], result["ci_high"])),
            difference=result["difference"],
            ci_low=result["ci_low"],
            ci_high=result["ci_high"],
            p=result["p"],
            test=result["test"],
            n=result["n"],
            per_seed=tuple(per_seed),
        )
    ]


def _vision_falls_most(outcomes: Outcomes) -> list[Finding]:
    """Compare the fall of end-to-end on two groups: a difference of paired differences."""
    sizes = outcomes.sizes_of("end_to_end")
    if len(sizes) < 2 or not {"vision", _LANGUAGE} <= set(outcomes.groups):
        return []
    large, small = (outcomes.at_size("end_to_end", size) for size in (sizes[-1], sizes[0]))
    assert large is not None
    assert small is not None
    vision = outcomes.paired(large, small, group="vision")
    language = outcomes.paired(large, small, group=_LANGUAGE)
    seeds = sorted(set(vision) & set(language))
    if not seeds:
        return []

    falls = [[part[seed][:, 0] - part[seed][:, 1] for seed in seeds] for part in (vision, language)]
    drawn_falls = []
    for part, group in zip(falls, ("vision", _LANGUAGE), strict=True):
        found = outcomes.paired_clusters(large, small, group=group)
        clusters = None if found is None else [found[seed] for seed in seeds]
        drawn_falls.append(resampled_means(part, key=f"fall, {group}, {sizes}", clusters=clusters))
    drawn = drawn_falls[0] - drawn_falls[1]
    per_seed = [float(v.mean() - w.mean()) for v, w in zip(*falls, strict=True)]
    means = [float(np.concatenate(part).mean()) for part in falls]
    return _bootstrap_finding(
        ("vision_falls_most", "vision"),
        f"End-to-end from {sizes[-1]} to {sizes[0]}, fall minus the fall on language-heavy "
        f"questions",
        (f"{sizes[-1]} to {sizes[0]}", sum(len(v) for part in falls for v in part)),
        (means[0] - means[1], drawn, per_seed),
    )


def _perception_falls(outcomes: Outcomes) -> list[Finding]:
    """Compare the fact F1 of the extractor at the largest and the smallest size."""
    seen = perceptions(outcomes)
    sizes = [size for size in outcomes.sizes if ("extract", size) in seen]
    if len(sizes) < 2:
        return []
    large, small = seen["extract", sizes[-1]], seen["extract", sizes[0]]
    found = []
    for group in outcomes.groups:
        strata = [
            _paired_counts(large[seed], small[seed], group)
            for seed in sorted(set(large) & set(small))
        ]
        strata = [counts for counts in strata if len(counts)]
        differences = [_f1_difference(counts) for counts in strata]
        if not strata or any(difference is None for difference in differences):
            continue
        sums = resampled_sums(strata, key=f"fact F1, {group}, {sizes}")
        totals = np.concatenate(strata)
        difference = _f1_difference(totals)
        assert difference is not None
        found += _bootstrap_finding(
            ("perception_falls", group),
            f"Fact F1 of the extraction at {sizes[-1]} minus at {sizes[0]}",
            (f"{sizes[-1]} to {sizes[0]}", int(totals[:, -1].sum())),
            (difference, f1_of_sums(sums[:, :4]) - f1_of_sums(sums[:, 4:8]), differences),
        )
    return found


def _bootstrap_finding(
    head: tuple[str, str],
    statement: str,
    scope: tuple[str, int],
    measured: tuple[float, np.ndarray, list[Any]],
) -> list[Finding]:
    difference, drawn, per_seed = measured
    interval = percentile_interval(drawn)
    if interval is None:
        return []
    return [
        Finding(
            finding=head[0],
            statement=f"{statement}, {group_label(head[1])} questions",
            compared=statement,
            group=head[1],
            size=scope[0],
            holds=verdict(interval),
            difference=difference,
            ci_low=interval[0],
            ci_high=interval[1],
            p=bootstrap_p(drawn),
            test="bootstrap",
            n=scope[1],
            per_seed=tuple(float(value) for value in per_seed),
        )
    ]


def _paired_counts(
    large: Mapping[str, Prediction], small: Mapping[str, Prediction], group: str
) -> np.ndarray:
    """Return counts of facts of both sizes and the number of questions, (cluster, 4 + 4 + 1)."""
    both = [name for name in large if name in small and large[name].group == group]
    counts = np.hstack([fact_counts(part[name] for name in both) for part in (large, small)])
    return cluster_sums(counts, [large[name].cluster for name in both])


def _f1_difference(counts: np.ndarray) -> float | None:
    sums = counts.sum(axis=0, keepdims=True)
    difference = float(f1_of_sums(sums[:, :4])[0] - f1_of_sums(sums[:, 4:8])[0])
    return difference if np.isfinite(difference) else None
