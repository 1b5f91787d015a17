"""The chart of drop against need for the image (the view of arXiv:2511.17487, figure 2)."""

import numpy as np

from mmlite.analysis.charts.model import Scatter, ScatterPoint
from mmlite.analysis.comparisons import compare
from mmlite.analysis.outcomes import Key, Outcomes, group_label
from mmlite.analysis.words import points, sample

_STYLES = (1, 3, 0, 2)


def need_chart(outcomes: Outcomes) -> Scatter | None:
    """Return drop against need of every kind of question; None if it cannot be measured.

    The need for the image is end-to-end accuracy at the largest size minus the same model's
    with the image withheld; the drop is end-to-end accuracy at the largest minus at the smallest.
    """
    sizes = outcomes.sizes_of("end_to_end")
    if len(sizes) < 2:
        return None
    large = outcomes.at_size("end_to_end", sizes[-1])
    small = outcomes.at_size("end_to_end", sizes[0])
    blind = outcomes.at_size("end_to_end_blind", sizes[-1])
    if large is None or small is None or blind is None:
        return None
    found = []
    for number, kinds in enumerate(outcomes.groups.values()):
        for kind in kinds:
            point = _point(outcomes, (large, small, blind), kind, _STYLES[number % len(_STYLES)])
            if point:
                found.append(point)
    if not found:
        return None
    return Scatter(
        x_label=f"need for the image: points lost without it, at {sizes[-1]}",
        y_label=f"drop from {sizes[-1]} to {sizes[0]}, points",
        points=tuple(found),
        legend=tuple(
            (group_label(group), _STYLES[number % len(_STYLES)])
            for number, group in enumerate(outcomes.groups)
        ),
    )


def correlation(chart: Scatter) -> float | None:
    """Return the rank correlation of need and drop over kinds; None below three kinds."""
    from scipy.stats import rankdata

    xs, ys = [p.x for p in chart.points], [p.y for p in chart.points]
    if len(xs) < 3 or len(set(xs)) == 1 or len(set(ys)) == 1:
        return None
    return float(np.corrcoef(rankdata(xs), rankdata(ys))[0, 1])


def _point(
    outcomes: Outcomes, keys: tuple[Key, Key, Key], kind: str, style: int
) -> ScatterPoint | None:
    large, small, blind = keys
    need = outcomes.paired(large, blind, category=kind)
    drop = outcomes.paired(large, small, category=kind)
    if not need.answers or not drop.answers:
        return None
    x, y = compare(need, key=f"need, {kind}"), compare(drop, key=f"drop, {kind}")
    return ScatterPoint(
        label=kind.replace("_", " "),
        style=style,
        x=x["difference"],
        y=y["difference"],
        x_interval=(x["ci_low"], x["ci_high"]),
        y_interval=(y["ci_low"], y["ci_high"]),
        text=(
            f"{kind}: need {points(x['difference'])} "
            f"({points(x['ci_low'])} to {points(x['ci_high'])}), drop {points(y['difference'])} "
            f"({points(y['ci_low'])} to {points(y['ci_high'])}) points, {sample(y)}"
        ),
    )
