"""Training curves: loss over steps of each stage and size, one line a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmlite.analysis.charts.model import Curve

_MOST_POINTS = 160


def training_curves(runs: Sequence[Mapping[str, Any]], sizes: Sequence[str]) -> tuple[Curve, ...]:
    """Return a small chart for each stage and size that has a curve.

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
    return tuple(_curve(stage, size, panels[stage, size]) for stage, size in order)


def _curve(stage: str, size: str, runs: Sequence[Mapping[str, Any]]) -> Curve:
    flat = [run.get("flattened") for run in runs]
    losses = [run.get("final_loss", run["curve"][-1][1]) for run in runs]
    return Curve(
        title=f"{stage.replace('_', ' ')}, {size}" if size else stage.replace("_", " "),
        lines=tuple(_thin(run["curve"]) for run in runs),
        final=", ".join(f"{loss:.3g}" for loss in losses if isinstance(loss, int | float)),
        flattened=None if None in flat else all(flat),
    )


def _thin(curve: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    stride = -(-len(curve) // _MOST_POINTS)
    kept = [*curve[:-1:stride], curve[-1]]
    return tuple((float(step), float(loss)) for step, loss in kept)
