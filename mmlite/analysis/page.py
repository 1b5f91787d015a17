"""The page: what `templates/report.html.jinja` is given, and rendering it.

Everything a model or a study wrote reaches the page as text: autoescape is on, and nothing is
marked as safe.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mmlite.analysis import words
from mmlite.analysis.charts.model import Charts
from mmlite.analysis.charts.need import correlation
from mmlite.analysis.charts.svg import color, draw_curve, draw_lines, draw_scatter, marker
from mmlite.analysis.findings import TITLES, Finding
from mmlite.analysis.headline import Figure
from mmlite.analysis.outcomes import Key, Outcomes, group_label, system_label
from mmlite.analysis.study import KINDS, Study
from mmlite.analysis.tables import Row, Table

VERDICTS: Mapping[bool | str, tuple[str, str]] = {
    True: ("holds", "\u2713"),
    False: ("does not hold", "\u2717"),
    "unclear": ("unclear", "?"),
}
"""How a verdict reads, and its sign."""

_ABOUT = tuple(KINDS)
_RUN = (
    "size",
    "seed",
    "steps",
    "images",
    "supervised_tokens",
    "all_tokens",
    "seconds",
    "final_loss",
    "flattened",
)
_REPLY = (
    "system",
    "size",
    "image_png_base64",
    "question",
    "gold",
    "clauses",
    "derivation",
    "answer",
    "correct",
)
_TEMPLATES = Path(__file__).parent / "templates"
_SIGNS = {
    "found": "\u2713",
    "true": "\u00b7",
    "missed": "\u2212",
    "invented": "\u2717",
}


def render_page(
    outcomes: Outcomes,
    study: Study,
    *,
    rows: Sequence[Row],
    fidelity: Sequence[Row],
    findings: Sequence[Finding],
    missing: Sequence[Mapping[str, str]],
    charts: Charts,
    lead: tuple[str, Sequence[Figure]],
) -> str:
    """Return the report as one HTML page.

    Args:
        outcomes: All predictions.
        study: What the study says of itself.
        rows: The results.
        fidelity: The perceivers' fidelity.
        findings: As measured.
        missing: Findings that could not be measured, and why.
        charts: What is drawn.
        lead: The headline and its figures.
    """
    about = _complete(study.about, _ABOUT)
    page = _environment().get_template("report.html.jinja")
    return page.render(
        about=about,
        title=about["title"] or about["name"] or "A study",
        headline=lead[0],
        figures=lead[1],
        outcomes=outcomes,
        accuracy=[draw_lines(panel) for panel in charts.accuracy],
        accuracy_legend=_legend(charts.accuracy),
        need=draw_scatter(charts.need) if charts.need else None,
        need_legend=charts.need.legend if charts.need else (),
        need_correlation=correlation(charts.need) if charts.need else None,
        grids=charts.grids,
        fidelity_panels=[draw_lines(panel) for panel in charts.fidelity],
        fidelity_legend=_legend(charts.fidelity),
        fidelity_rows=[row for row in fidelity if row["seed"] == "all"],
        findings=_findings(outcomes, findings),
        missing=[(TITLES[entry["finding"]], entry["reason"]) for entry in missing],
        systems=_systems(outcomes, Table(list(rows))),
        consistency=[
            row
            for row in rows
            if row["seed"] == "all" and row["category"] == "all" and row["consistency"] is not None
        ],
        gallery=_gallery(study.gallery),
        signs=_SIGNS,
        curves=[draw_curve(curve) for curve in charts.curves],
        runs=[_complete(run, _RUN) for run in study.runs],
        evaluations=[_complete(part, ("seconds",)) for part in about["evaluations"] or ()],
        sizes=study.sizes,
        unknown_sizes=_unknown_sizes(outcomes, study),
        verdicts=VERDICTS,
        questions=outcomes.questions,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "number": words.number_percent,
        "points": words.points,
        "p_value": words.p_value,
        "signed": words.signed,
        "moment": words.moment,
        "count": words.short_count,
        "grouped": words.grouped,
        "duration": words.duration,
        "group": group_label,
        "system": system_label,
    }
    environment.globals |= {"marker": marker, "color": color}
    return environment


def _complete(entry: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Return an entry with null for every field that it lacks."""
    return {**dict.fromkeys(fields), **entry}


def _legend(panels: Iterable[Any]) -> list[tuple[str, int, bool]]:
    seen = {s.label: (s.label, s.style, s.shown) for panel in panels for s in panel.series}
    return sorted(seen.values(), key=lambda entry: entry[1])


def _findings(outcomes: Outcomes, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Put findings under their titles; those at smaller sizes are `more`."""
    found = []
    for name, title in TITLES.items():
        of_name = [finding for finding in findings if finding.finding == name]
        if not of_name:
            continue
        sizes = [size for size in outcomes.sizes if any(f.size == size for f in of_name)]
        main = [f for f in of_name if f.size not in sizes[:-1]]
        found.append({"title": title, "main": main, "more": [f for f in of_name if f not in main]})
    return found


def _systems(outcomes: Outcomes, table: Table) -> list[dict[str, Any]]:
    """Return the rows of the table of systems; `mixed` rows have parts of two sizes."""
    rows: list[dict[str, Any]] = []
    for key in outcomes.by_key:
        cells = [table.pooled(key, group) for group in outcomes.groups]
        mixed = len({key.perceiver_size, key.reasoner_size} - {""}) > 1
        rank = outcomes.systems.index(key.system)
        rows.append(
            {
                "rank": rank,
                "system": key.system,
                "size": _size(key),
                "cells": cells,
                "mixed": mixed,
            }
        )
    return rows


def _size(key: Key) -> str:
    sizes = list(dict.fromkeys(size for size in (key.perceiver_size, key.reasoner_size) if size))
    return " \u2192 ".join(sizes)


def _gallery(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the systems that answered one question under one picture."""
    cards: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        reply = _complete(entry, _REPLY)
        clauses = [_complete(clause, ("text", "status")) for clause in reply["clauses"] or ()]
        cards.setdefault(str(entry["id"]), []).append({**reply, "clauses": clauses})
    return [
        {"id": identity, "first": replies[0], "systems": replies}
        for identity, replies in cards.items()
    ]


def _unknown_sizes(outcomes: Outcomes, study: Study) -> list[str]:
    known = {size.name for size in study.sizes if size.non_embedding_parameters}
    return [size for size in outcomes.sizes if size not in known]
