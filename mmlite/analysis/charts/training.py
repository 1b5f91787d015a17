"""Training curves: loss over steps of each stage and size, one line a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmlite.analysis.charts.model import Curve

_MOST_POINTS = 160


def training_curves(runs: Sequence[Mapping[str, Any]], sizes: Sequence[str]) -> tuple[Curve, ...]:
    """Return a small chart for each stage and size that has a curve.

    Where a loss was no number, which is `null` in `curve.json`, a line has no point.

    Args:
        runs: Runs of `study.json`; one without a curve is left out.
        sizes: Order of sizes.
    """
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        if len(run.get("curve") or ()) > 1:
            stage = str(run.get("stage") or run["name"])
            panels.setdefault((stage, str(run.get("size") or "")), []).append(run)
    stages = list(dict.fromkeys(stage for stage, _ in panels))
    ranks = {size: rank for rank, size in enumerate(sizes)}
    order = sorted(panels, key=lambda key: (stages.index(key[0]), ranks.get(key[1], -1)))
    curves = (_curve(stage, size, panels[stage, size]) for stage, size in order)
    return tuple(curve for curve in curves if curve.lines)


def _curve(stage: str, size: str, runs: Sequence[Mapping[str, Any]]) -> Curve:
    flat = [run.get("flattened") for run in runs]
    losses = [run.get("final_loss", run["curve"][-1][1]) for run in runs]
    known = [[(s, loss) for s, loss in run["curve"] if loss is not None] for run in runs]
    return Curve(
        title=f"{stage.replace('_', ' ')}, {size}" if size else stage.replace("_", " "),
        lines=tuple(_thin(points) for points in known if len(points) > 1),
        final=", ".join("no number" if loss is None else f"{loss:.3g}" for loss in losses),
        flattened=None if None in flat else all(flat),
    )


def _thin(curve: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    stride = -(-len(curve) // _MOST_POINTS)
    kept = [*curve[:-1:stride], curve[-1]]
    return tuple((float(step), float(loss)) for step, loss in kept)
