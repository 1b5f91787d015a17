"""Building the charts from outcomes, the results table and what the study says of itself."""

import math
from collections.abc import Sequence
from typing import Any

from mmlite.analysis.charts.model import (
    Axis,
    Cell,
    Charts,
    HeatMap,
    HeatRow,
    LinePanel,
    Point,
    Series,
)
from mmlite.analysis.charts.need import need_chart
from mmlite.analysis.charts.training import training_curves
from mmlite.analysis.outcomes import Outcomes, group_label, system_label
from mmlite.analysis.study import Study
from mmlite.analysis.tables import Row, Table, chance_of
from mmlite.analysis.words import percent, sample, short_count

_STYLES = (
    "end_to_end",
    "extract_think",
    "caption_think",
    "extract_answer",
    "oracle_question_think",
    "end_to_end_blind",
    "oracle_caption_think",
    "oracle_scene_think",
    "blind_think",
    "extract_symbolic",
    "oracle_question_symbolic",
    "caption_symbolic",
    "oracle_caption_symbolic",
    "oracle_scene_symbolic",
    "blind_symbolic",
)
_SHOWN_FIRST = _STYLES[:6]
_ORACLES = (
    ("oracle_scene_think", "whole scene"),
    ("oracle_question_think", "gold extraction"),
)
_METRICS = (
    ("f1", "Fact F1"),
    ("precision", "Fact precision"),
    ("recall", "Fact recall"),
    ("exact", "Exact extraction"),
)


def build_charts(
    outcomes: Outcomes, study: Study, *, table: Table, fidelity: Sequence[Row]
) -> Charts:
    """Return every chart that the predictions allow.

    Args:
        outcomes: All predictions.
        study: What the study says of itself.
        table: The results.
        fidelity: Rows of `fidelity_rows`.
    """
    axis = size_axis(outcomes, study)
    return Charts(
        accuracy=_accuracy(outcomes, study, table, axis),
        need=need_chart(outcomes),
        grids=_grids(outcomes, table),
        fidelity=_fidelity(outcomes, fidelity, axis),
        curves=training_curves(study.runs, outcomes.sizes),
    )


def size_axis(outcomes: Outcomes, study: Study) -> Axis:
    """Return the axis of sizes: logarithmic, or even steps where parameters are not known."""
    counts = {size.name: size.non_embedding_parameters for size in study.sizes}
    known = [counts.get(size) for size in outcomes.sizes]
    labels = [
        f"{size}\n{short_count(count)}".strip()
        for size, count in zip(outcomes.sizes, known, strict=True)
    ]
    if all(known) and len(set(known)) == len(known):
        places = [math.log10(count) for count in known if count]
        label = "parameters without embeddings, log scale"
    else:
        places, label = [float(place) for place in range(len(known))], "language-model size"
    ticks = tuple(zip(places, labels, strict=True))
    if not places:
        return Axis(label, ticks, 0.0, 1.0)
    margin = 0.08 * (max(places) - min(places)) or 0.5
    return Axis(label, ticks, min(places) - margin, max(places) + margin)


def system_style(outcomes: Outcomes, system: str) -> int:
    """Return the number of a system's color and marker."""
    others = tuple(name for name in outcomes.systems if name not in _STYLES)
    return (*_STYLES, *others).index(system)


def _accuracy(outcomes: Outcomes, study: Study, table: Table, axis: Axis) -> tuple[LinePanel, ...]:
    places = {size: place for size, (place, _) in zip(outcomes.sizes, axis.ticks, strict=True)}
    panels = []
    for group in outcomes.groups:
        lines = []
        for system in outcomes.systems:
            points = [
                _point(places[size], row, f"{system_label(system)} at {size}")
                for size in outcomes.sizes
                if (row := table.pooled(outcomes.at_size(system, size), group))
            ]
            if points:
                lines.append(
                    Series(
                        system_label(system),
                        system_style(outcomes, system),
                        tuple(points),
                        shown=system in _SHOWN_FIRST or system not in _STYLES,
                    )
                )
        if lines:
            chance = chance_of(outcomes, study.chance, group, key=next(iter(outcomes.by_key)))
            panels.append(LinePanel(group_label(group), tuple(lines), axis, reference=chance))
    return tuple(panels)


def _point(x: float, row: Row, name: str) -> Point:
    text = (
        f"{name}: {percent(row['accuracy'])} "
        f"({percent(row['ci_low'])} to {percent(row['ci_high'])}), {sample(row)}"
    )
    return Point(x, row["accuracy"], row["ci_low"], row["ci_high"], text)


def _grids(outcomes: Outcomes, table: Table) -> tuple[HeatMap, ...]:
    grid = [key for key in outcomes.by_key if key.system == "extract_think"]
    columns = [size for size in outcomes.sizes if any(key.reasoner_size == size for key in grid)]
    perceivers = [s for s in outcomes.sizes if any(key.perceiver_size == s for key in grid)]
    maps = []
    for group in outcomes.groups:
        rows = []
        for system, label in _ORACLES:
            cells = [_cell(table.pooled(outcomes.find(system, "", s), group)) for s in columns]
            rows.append(HeatRow(label, tuple(cells), oracle=True))
        for perceiver in reversed(perceivers):
            keys = [outcomes.find("extract_think", perceiver, s) for s in columns]
            cells = [_cell(table.pooled(key, group)) for key in keys]
            rows.append(HeatRow(perceiver, tuple(cells)))
        cells = [_cell(table.pooled(outcomes.find("blind_think", "", s), group)) for s in columns]
        rows.append(HeatRow("nothing", tuple(cells), oracle=True))
        kept = tuple(row for row in rows if any(row.cells))
        if any(not row.oracle for row in kept) and group != "language":
            maps.append(HeatMap(group_label(group), tuple(columns), kept))
    return tuple(maps)


def _cell(row: Row | None) -> Cell | None:
    return Cell(row["accuracy"], row["ci_low"], row["ci_high"], sample(row)) if row else None


def _fidelity(outcomes: Outcomes, rows: Sequence[Row], axis: Axis) -> tuple[LinePanel, ...]:
    places = {size: place for size, (place, _) in zip(outcomes.sizes, axis.ticks, strict=True)}
    pooled = [row for row in rows if row["seed"] == "all" and row["perceiver_size"] in places]
    panels = []
    for perceiver in ("extract", "caption"):
        for group in outcomes.groups:
            chosen = [
                row
                for row in pooled
                if (row["perceiver"], row["group"]) == (perceiver, group)
                and row["recall"] is not None
            ]
            chosen.sort(key=lambda row: places[row["perceiver_size"]])
            lines = tuple(
                Series(label, style, _metric_points(chosen, metric, label, places))
                for style, (metric, label) in enumerate(_METRICS)
            )
            if any(line.points for line in lines):
                title = f"{perceiver}: {group_label(group)}"
                panels.append(LinePanel(title.capitalize(), lines, axis))
    return tuple(panels)


def _metric_points(
    rows: Sequence[Row], metric: str, label: str, places: dict[str, float]
) -> tuple[Point, ...]:
    def interval(row: dict[str, Any]) -> tuple[float | None, float | None]:
        return (row["f1_ci_low"], row["f1_ci_high"]) if metric == "f1" else (None, None)

    return tuple(
        Point(
            places[row["perceiver_size"]],
            row[metric],
            *interval(row),
            f"{label} at {row['perceiver_size']}: {percent(row[metric])}, {sample(row)}",
        )
        for row in rows
        if row[metric] is not None
    )
