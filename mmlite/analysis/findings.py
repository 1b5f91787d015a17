"""The paper's findings as this study measured them (arXiv:2511.17487).

Each is a difference with its interval and a verdict: it holds when the interval is above zero,
it does not when the interval is below, and it is unclear when zero lies inside or the test beside
it does not reject at 5 %. A bootstrap of one question is certain of it; a test is not.
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
    count_unequal,
    percentile_interval,
    resampled_means,
    resampled_sums,
    summed_strata,
)
from mmlite.analysis.outcomes import Key, Outcomes, group_label, system_label

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

_SAME = "on the same questions"
_SEEING = f"{_SAME}, not language-heavy ones"
_ONCE = "at one size or with one published model"
_NEEDS: Mapping[str, str] = {
    "vision_falls_most": "End-to-end at two sizes, on vision-heavy and language-heavy questions",
    "perception_falls": f"facts counted in Extract's texts at two sizes, {_SAME}",
    "perceiver_shrinks": f"Extract+Think at two sizes, and with its perceiver shrunk, {_SEEING}",
    "reasoner_shrinks": f"Extract+Think at two sizes, and with its reasoner shrunk, {_SEEING}",
    "extraction_beats_captioning": f"Extract+Think and Caption+Think {_ONCE}, {_SEEING}",
    "thinking_helps": f"Extract+Think and Extract+Answer {_ONCE}, {_SEEING}",
    "extract_think_beats_end_to_end": f"Extract+Think and End-to-end {_ONCE}, {_SAME}",
}
"""What each finding is measured from."""

SIGNIFICANT = 0.05
"""A p-value that is not below it leaves a finding unclear."""

_LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding at one size and on one group of questions.

    Attributes:
        finding: Key of `TITLES`.
        statement: What was compared, in words.
        compared: The same without the group.
        group: Group of questions.
        size: Language-model size or published model, or largest and smallest size.
        holds: True, false, or unclear when the interval contains zero or `p` is not below 0.05.
        difference: What speaks for the finding when it is positive.
        ci_low: Lower end of its 95 % interval.
        ci_high: Upper end.
        p: Two-sided p-value of no difference.
        test: Which test `p` is of: mcnemar (exact) or bootstrap.
        n: Answers to questions that were compared, over all seeds.
        questions: How many different questions those are, where questions recur in several seeds.
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
    questions: int | None
    per_seed: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping, without what does not apply."""
        return {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }


def verdict(interval: Interval, p: float) -> Holds:
    """Return whether a difference is above zero: true, false, or unclear.

    Args:
        interval: Its 95 % interval.
        p: Of the test beside it.
    """
    low, high = interval
    if p >= SIGNIFICANT or low <= 0 <= high:
        return "unclear"
    return low > 0


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
    measured = {finding.finding for finding in found}
    missing = [name for name in TITLES if name not in measured]
    return found, [{"finding": name, "reason": f"needs {_NEEDS[name]}"} for name in missing]


def _systems(outcomes: Outcomes, finding: str, other: str) -> list[Finding]:
    """Compare Extract+Think with another system, at every size or published model, by group."""
    found = []
    everywhere = finding == "extract_think_beats_end_to_end"
    for size in outcomes.sizes_and_models:
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
            holds=verdict((result["ci_low"], result["ci_high"]), result["p"]),
            difference=result["difference"],
            ci_low=result["ci_low"],
            ci_high=result["ci_high"],
            p=result["p"],
            test=result["test"],
            n=result["n"],
            questions=result.get("questions"),
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
    groups = ("vision", _LANGUAGE)
    answered = [set(outcomes.paired(large, small, group=group).answers) for group in groups]
    seeds = sorted(answered[0] & answered[1])
    if not seeds:
        return []

    pairs = [outcomes.paired(large, small, group=group, seeds=seeds) for group in groups]
    falls = [[v[:, 0] - v[:, 1] for v in part.answers.values()] for part in pairs]
    drawn_falls, unequal = [], 0
    for part, found, group in zip(falls, pairs, groups, strict=True):
        clusters = None if found.clusters is None else list(found.clusters.values())
        drawn_falls.append(resampled_means(part, key=f"fall, {group}, {sizes}", clusters=clusters))
        unequal += count_unequal(part, clusters)
    drawn = drawn_falls[0] - drawn_falls[1]
    per_seed = [float(v.mean() - w.mean()) for v, w in zip(*falls, strict=True)]
    means = [float(np.concatenate(part).mean()) for part in falls]
    counted = [part.questions["questions"] for part in pairs if part.questions]
    questions = sum(counted) if counted else None
    return _bootstrap_finding(
        ("vision_falls_most", "vision"),
        f"End-to-end from {sizes[-1]} to {sizes[0]}, fall minus the fall on language-heavy "
        f"questions",
        (f"{sizes[-1]} to {sizes[0]}", sum(len(v) for part in falls for v in part), questions),
        (means[0] - means[1], drawn, per_seed, unequal),
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
        pool, by_seed = {}, []
        for seed in sorted(set(large) & set(small)):
            names = [name for name, p in large[seed].items() if p.group == group]
            both = [name for name in names if name in small[seed]]
            if both:
                pool[seed] = [large[seed][name] for name in both]
                parts = (pool[seed], (small[seed][name] for name in both))
                by_seed.append(np.hstack([fact_counts(part) for part in parts]))
        differences = [_f1_difference(counts) for counts in by_seed]
        if not by_seed or any(difference is None for difference in differences):
            continue
        clusters = outcomes.questions.clusters(pool)
        strata = summed_strata(by_seed, None if clusters is None else list(clusters.values()))
        unequal = sum(int((rows[:, :4] != rows[:, 4:8]).any(axis=1).sum()) for rows in strata)
        sums = resampled_sums(strata, key=f"fact F1, {group}, {sizes}")
        difference = _f1_difference(np.concatenate(by_seed))
        assert difference is not None
        questions = outcomes.questions.count(pool).get("questions")
        found += _bootstrap_finding(
            ("perception_falls", group),
            f"Fact F1 of the extraction at {sizes[-1]} minus at {sizes[0]}",
            (f"{sizes[-1]} to {sizes[0]}", sum(map(len, by_seed)), questions),
            (difference, f1_of_sums(sums[:, :4]) - f1_of_sums(sums[:, 4:8]), differences, unequal),
        )
    return found


def _bootstrap_finding(
    head: tuple[str, str],
    statement: str,
    scope: tuple[str, int, int | None],
    measured: tuple[float, np.ndarray, list[Any], int],
) -> list[Finding]:
    difference, drawn, per_seed, unequal = measured
    interval = percentile_interval(drawn)
    if interval is None:
        return []
    p = bootstrap_p(drawn, unequal=unequal)
    return [
        Finding(
            finding=head[0],
            statement=f"{statement}, {group_label(head[1])} questions",
            compared=statement,
            group=head[1],
            size=scope[0],
            holds=verdict(interval, p),
            difference=difference,
            ci_low=interval[0],
            ci_high=interval[1],
            p=p,
            test="bootstrap",
            n=scope[1],
            questions=scope[2],
            per_seed=tuple(float(value) for value in per_seed),
        )
    ]


def _f1_difference(counts: np.ndarray) -> float | None:
    sums = counts.sum(axis=0, keepdims=True)
    difference = float(f1_of_sums(sums[:, :4])[0] - f1_of_sums(sums[:, 4:8])[0])
    return difference if np.isfinite(difference) else None
