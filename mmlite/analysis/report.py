"""Making a study's tables, plots and report again from its saved predictions alone."""

from pathlib import Path
from typing import Any

from mmlite.analysis.charts.build import build_charts
from mmlite.analysis.charts.png import write_plots
from mmlite.analysis.comparisons import comparison_rows
from mmlite.analysis.fidelity import fidelity_rows
from mmlite.analysis.files import write_csv, write_json, write_text
from mmlite.analysis.findings import measure_findings
from mmlite.analysis.headline import headline
from mmlite.analysis.outcomes import Outcomes, load_predictions, order_outcomes
from mmlite.analysis.page import render_page
from mmlite.analysis.study import Study, load_study
from mmlite.analysis.tables import COLUMNS, Table, result_rows

_SHARES = "Shares are fractions in [0, 1]. An unreadable answer is a wrong one, and is counted."
_POOLED = (
    "Rows of one seed have Wilson 95 % intervals. Rows with seed 'all' pool the seeds; with "
    "several seeds their interval is a bootstrap over questions within each seed (10,000 "
    "resamples), or Wilson where every answer is right or every answer is wrong."
)
_POOLED_AGAIN = (
    "Rows of one seed have Wilson 95 % intervals. Rows with seed 'all' pool the seeds. The same "
    "questions are asked in several seeds: 'questions' is how many different ones the n answers "
    "are to, and intervals are of a bootstrap that draws a question, or its cluster, with its "
    "answers of all seeds (10,000 resamples), or Wilson over them where every answer is right or "
    "every answer is wrong."
)
_MEANING = (
    "Intervals tell how much other questions would change a number, not how much other seeds of "
    "training would: for that, compare the seeds."
)
_CLUSTERS = (
    "Questions that are not independent form clusters, such as the pictures that one sentence of "
    "NLVR is asked about. Their intervals and p-values are of a bootstrap that draws clusters "
    "whole, and consistency is the share of clusters without a mistake."
)
_MCNEMAR = (
    "McNemar's test is exact and two-sided; over several seeds it counts every question once a "
    "seed."
)
_MCNEMAR_ONCE = (
    "McNemar's test is exact and two-sided; where questions recur in several seeds, p-values over "
    "all seeds are of the bootstrap."
)
_VERDICT = (
    "A finding holds when its interval lies above zero, does not when it lies below, and is "
    "unclear when zero lies inside or p is not below 0.05: an interval of a few questions that "
    "agree is narrow however few they are, a test is not fooled."
)


def make_report(folder: Path) -> Path:
    """Make results, comparisons, plots and the report of a study.

    Reads `study.json`, `predictions/*.jsonl` and, where there is one, `gallery.json`; writes
    `results.json`, `results.csv`, `comparisons.json`, `plots/*.png` and `report.html` beside
    them. The same files in give the same bytes out.

    Args:
        folder: The study's folder.

    Returns:
        The path of `report.html`.
    """
    folder = Path(folder)
    study = load_study(folder)
    outcomes = order_outcomes(load_predictions(folder), study)
    rows, fidelity = result_rows(outcomes), fidelity_rows(outcomes)
    findings, missing = measure_findings(outcomes)
    table = Table(rows)
    charts = build_charts(outcomes, study, table=table, fidelity=fidelity)
    lead = headline(outcomes, study, table=table, findings=findings)

    write_json(
        folder / "results.json",
        {"rows": rows, "fidelity": fidelity, "meta": _meta(outcomes, study, lead[0])},
    )
    write_csv(folder / "results.csv", rows, columns=[c for c in COLUMNS if c in rows[0]])
    write_json(
        folder / "comparisons.json",
        {
            "comparisons": comparison_rows(outcomes),
            "findings": [finding.to_json() for finding in findings],
            "not_measured": missing,
            "notes": [*_notes(outcomes), _VERDICT],
        },
    )
    write_plots(charts, folder / "plots")
    page = render_page(
        outcomes,
        study,
        rows=rows,
        fidelity=fidelity,
        findings=findings,
        missing=missing,
        charts=charts,
        lead=lead,
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _meta(outcomes: Outcomes, study: Study, sentence: str) -> dict[str, Any]:
    kept = ("name", "title", "created", "mmlite_version", "command")
    return {
        **{key: study.about[key] for key in kept if key in study.about},
        "headline": sentence,
        "seeds": list(outcomes.seeds),
        "sizes": list(outcomes.sizes),
        "groups": {group: list(kinds) for group, kinds in outcomes.groups.items()},
        "chance": study.chance,
        "notes": _notes(outcomes),
    }


def _notes(outcomes: Outcomes) -> list[str]:
    if outcomes.questions.recur:
        return [_SHARES, _POOLED_AGAIN, _MEANING, _CLUSTERS, _MCNEMAR_ONCE]
    return [_SHARES, _POOLED, _MEANING, _CLUSTERS, _MCNEMAR]
