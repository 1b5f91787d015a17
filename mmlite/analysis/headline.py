"""The study in one sentence, and the figures beside it."""

from dataclasses import dataclass

from mmlite.analysis.findings import Finding
from mmlite.analysis.outcomes import Outcomes, group_label, system_label
from mmlite.analysis.study import Study
from mmlite.analysis.tables import Table
from mmlite.analysis.words import p_value, percent, points, sample, short_count

_FINDING = "extract_think_beats_end_to_end"


@dataclass(frozen=True, slots=True)
class Figure:
    """One group's figure beside the headline, in words."""

    group: str
    difference: str
    interval: str
    first: str
    second: str
    holds: bool | str


def headline(
    outcomes: Outcomes, study: Study, *, table: Table, findings: list[Finding]
) -> tuple[str, list[Figure]]:
    """Return the headline and the figures of each group.

    Args:
        outcomes: All predictions.
        study: What the study says of itself.
        table: The results.
        findings: As measured.
    """
    at_largest = _at_largest(outcomes, findings)
    if not at_largest:
        return _best_system(outcomes, table), []
    size = at_largest[0].size
    parts = [
        f"{_relation(finding, first=finding is at_largest[0])} on {group_label(finding.group)}"
        for finding in at_largest
    ]
    joined = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
    sentence = f"With {_size_words(size, outcomes, study)}, Extract+Think {joined} questions."
    return sentence, [_figure(outcomes, table, finding) for finding in at_largest]


def _at_largest(outcomes: Outcomes, findings: list[Finding]) -> list[Finding]:
    """Return the findings at the largest size, or else of the first published model."""
    both = [finding for finding in findings if finding.finding == _FINDING]
    order = (*reversed(outcomes.sizes), *outcomes.models)
    found = [size for size in order if any(finding.size == size for finding in both)]
    return [finding for finding in both if finding.size == found[0]] if found else []


def _relation(finding: Finding, *, first: bool) -> str:
    interval = "95% interval " if first else ""
    if finding.holds == "unclear":
        test = "" if finding.ci_low <= 0 <= finding.ci_high else f", p = {p_value(finding.p)}"
        return (
            f"cannot be told from end-to-end ({points(finding.difference)} points, {interval}"
            f"{points(finding.ci_low)} to {points(finding.ci_high)}{test})"
        )
    verb = "beats end-to-end by" if finding.holds else "falls behind end-to-end by"
    ends = sorted(abs(end) for end in (finding.ci_low, finding.ci_high))
    gap, low, high = (points(value).removeprefix("+") for value in (abs(finding.difference), *ends))
    return f"{verb} {gap} points ({interval}{low} to {high})"


def _size_words(size: str, outcomes: Outcomes, study: Study) -> str:
    if size in outcomes.models:
        return f"the published model {size}"
    which = "the largest language model" if size == outcomes.sizes[-1] else "the language model"
    for known in study.sizes:
        if known.name == size and known.non_embedding_parameters:
            return f"{which} ({size}, {short_count(known.non_embedding_parameters)} parameters)"
    return f"{which} ({size})"


def _figure(outcomes: Outcomes, table: Table, finding: Finding) -> Figure:
    def accuracy(system: str) -> str:
        row = table.pooled(outcomes.at_size(system, finding.size), finding.group)
        return percent(row["accuracy"] if row else None, digits=0)

    return Figure(
        group=group_label(finding.group),
        difference=points(finding.difference),
        interval=f"{points(finding.ci_low)} to {points(finding.ci_high)}",
        first=accuracy("extract_think"),
        second=accuracy("end_to_end"),
        holds=finding.holds,
    )


def _best_system(outcomes: Outcomes, table: Table) -> str:
    group = next(iter(outcomes.groups))
    rows = [row for key in outcomes.by_key if (row := table.pooled(key, group))]
    seeing = [row for row in rows if not row["perceiver"].startswith("oracle")]
    best = max(seeing or rows, key=lambda row: row["accuracy"])
    return (
        f"{system_label(best['system'])} answers {percent(best['accuracy'])} of the "
        f"{group_label(group)} questions right (95% interval {percent(best['ci_low'])} to "
        f"{percent(best['ci_high'])}, {sample(best)}); Extract+Think and end-to-end were not both "
        f"run at one size{' or with one published model' if outcomes.models else ''}."
    )
