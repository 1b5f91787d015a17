"""The charts as PNG files, in one style, for slides, papers and TensorBoard."""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlite.analysis.charts.model import Charts, Curve, HeatMap, LinePanel, Scatter
from mmlite.analysis.charts.svg import color as color_number
from mmlite.analysis.charts.svg import draw_scatter, sideways
from mmlite.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

COLORS = (
    "#b8501a",
    "#1d5fc4",
    "#1f8a66",
    "#8250c4",
    "#3d4652",
    "#c98a62",
    "#6b8f2a",
    "#6d7a8c",
    "#9aa3ae",
    "#0d7f97",
    "#a03d6b",
)
"""Colors by number, the light ones of the page's style sheet."""

_POINTS_PER_PIXEL = 0.75
"""A panel's plot area is 296 pixels wide on the page and about 222 points here."""
_MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a94a0",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#e3e7ec",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 150,
    "savefig.dpi": 150,
}


def write_plots(charts: Charts, folder: Path) -> list[Path]:
    """Write each chart as a PNG file.

    Args:
        charts: What to draw; an empty chart is left out.
        folder: Where the files go.

    Returns:
        The files.
    """
    import matplotlib

    wanted: dict[str, Callable[[], Figure] | None] = {
        "accuracy_against_size": (lambda: _line_figure(charts.accuracy, "accuracy, %"))
        if charts.accuracy
        else None,
        "drop_against_need": (lambda need=charts.need: _scatter_figure(need))
        if charts.need
        else None,
        "perception_by_reasoning": (lambda: _heat_figure(charts.grids)) if charts.grids else None,
        "extraction_fidelity": (lambda: _line_figure(charts.fidelity, "%"))
        if charts.fidelity
        else None,
        "training_curves": (lambda: _curve_figure(charts.curves)) if charts.curves else None,
    }
    written = []
    with matplotlib.rc_context(_STYLE):
        for name, draw in wanted.items():
            path = folder / f"{name}.png"
            if draw is None:
                path.unlink(missing_ok=True)
                continue
            content = io.BytesIO()
            draw().savefig(content, format="png", metadata={"Software": None})
            write_whole(path, content.getvalue())
            written.append(path)
    return written


def _figure(width: float, height: float, *, layout: Any = "constrained") -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _line_figure(panels: Sequence[LinePanel], y_label: str) -> "Figure":
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure(3.6 * columns, 3.1 * rows + 0.9)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    handles = {}
    for panel, axis in zip(panels, axes, strict=False):
        _draw_lines(panel, axis, handles)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    axes[0].set_ylabel(y_label)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(4, columns * 2))
    return figure


def _draw_lines(panel: LinePanel, axis: "Axes", handles: dict[str, object]) -> None:
    for number, (series, shift) in enumerate(
        zip(panel.series, sideways(len(panel.series)), strict=True)
    ):
        if not series.points:
            continue
        moved = _moved(axis, _POINTS_PER_PIXEL * shift)
        known = [p for p in series.points if p.low is not None and p.high is not None]
        color = COLORS[color_number(series.style)]
        main = series.style < 4
        for p in known:
            ends = [100 * (p.low or 0), 100 * (p.high or 0)]
            axis.plot([p.x, p.x], ends, color=color, lw=1, transform=moved)
        (line,) = axis.plot(
            [p.x for p in series.points],
            [100 * p.y for p in series.points],
            color=color,
            marker=_MARKERS[series.style % 6],
            markersize=5 if main else 4,
            linewidth=1.8 if main else 1.0,
            # Dashes begin at other places, so that those of equal lines lie beside each other.
            linestyle="-" if main else (number % 3 * 2.0, (3.0, 3.0)),
            label=series.label,
            transform=moved,
        )
        handles.setdefault(series.label, line)
    if panel.reference is not None:
        line = axis.axhline(100 * panel.reference, color="#8a94a0", linestyle=":", linewidth=1)
        handles.setdefault("best constant guess", line)
    axis.set_title(panel.title)
    axis.set_xticks([at for at, _ in panel.x.ticks], [label for _, label in panel.x.ticks])
    axis.set_xlim(panel.x.low, panel.x.high)
    axis.set_ylim(0, 102)
    axis.set_xlabel(panel.x.label, fontsize=7)


def _moved(axis: "Axes", points: float) -> "Transform":
    """Return where data are drawn, moved sideways."""
    from matplotlib.transforms import ScaledTranslation

    figure = axis.get_figure(root=True)
    assert figure is not None
    return axis.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _scatter_figure(chart: Scatter) -> "Figure":
    figure = _figure(6.4, 4.8)
    axis = figure.subplots()
    drawn = draw_scatter(chart)  # its labels avoid each other
    scale = 72 * figure.get_figwidth() / drawn.frame.width
    for point, dot in zip(chart.points, drawn.dots, strict=True):
        color, x, y = COLORS[point.style], 100 * point.x, 100 * point.y
        across = scale * (dot.label_x - drawn.frame.x(point.x))
        up = scale * (drawn.frame.y(point.y) - dot.label_y)
        axis.plot([100 * v for v in point.x_interval], [y, y], color=color, alpha=0.35, lw=1)
        axis.plot([x, x], [100 * v for v in point.y_interval], color=color, alpha=0.35, lw=1)
        axis.plot(x, y, marker=_MARKERS[point.style % 6], color=color, markersize=6)
        axis.annotate(
            point.label,
            (x, y),
            xytext=(across, up),
            textcoords="offset points",
            fontsize=8,
            ha={"start": "left", "end": "right", "middle": "center"}[dot.anchor],
            arrowprops={"arrowstyle": "-", "color": "#8a94a0", "lw": 0.5} if dot.leader else None,
        )
    for label, style in chart.legend:
        marker = _MARKERS[style % 6]
        axis.plot([], [], marker=marker, color=COLORS[style], linestyle="", label=label)
    axis.axhline(0, color="#8a94a0", linewidth=0.8)
    axis.axvline(0, color="#8a94a0", linewidth=0.8)
    axis.set_xlim(100 * drawn.frame.x_low, 100 * drawn.frame.x_high)
    axis.set_ylim(100 * drawn.frame.y_low, 100 * drawn.frame.y_high)
    axis.set_xlabel(chart.x_label)
    axis.set_ylabel(chart.y_label)
    axis.legend()
    return figure


def _heat_figure(grids: Sequence[HeatMap]) -> "Figure":
    height = 0.5 * max(len(grid.rows) for grid in grids) + 1.4
    figure = _figure(max(4.6, 1.0 * len(grids[0].columns) + 2.4) * len(grids), height)
    for grid, axis in zip(grids, figure.subplots(1, len(grids), squeeze=False)[0], strict=True):
        values = [[100 * c.value if c else math.nan for c in row.cells] for row in grid.rows]
        axis.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for row, cells in enumerate(values):
            for column, value in enumerate(cells):
                words = "not run" if math.isnan(value) else f"{value:.0f}"
                color = "white" if value > 60 else "#1b2430"
                axis.text(column, row, words, ha="center", va="center", color=color)
        axis.grid(visible=False)
        axis.set_xticks(range(len(grid.columns)), grid.columns)
        axis.set_yticks(range(len(grid.rows)), [row.label for row in grid.rows])
        axis.set_xlabel("reasoner")
        axis.set_ylabel("perceiver")
        axis.set_title(f"{grid.title}, accuracy in %")
    return figure


def _curve_figure(curves: Sequence[Curve]) -> "Figure":
    columns = min(4, len(curves))
    rows = math.ceil(len(curves) / columns)
    width, height = 2.6 * columns, 1.8 * rows
    figure = _figure(width, height, layout=None)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.subplots_adjust(
        left=0.5 / width,
        right=1 - 0.1 / width,
        bottom=0.3 / height,
        top=1 - 0.45 / height,
        wspace=0.32,
        hspace=0.85,
    )
    for curve, axis in zip(curves, axes, strict=False):
        for number, line in enumerate(curve.lines):
            steps, losses = zip(*line, strict=True)
            axis.plot(steps, [max(v, 1e-4) for v in losses], lw=1.1, color=COLORS[1 + number % 3])
        axis.set_yscale("log")
        axis.minorticks_off()
        words = {True: "flattened", False: "NOT flattened", None: ""}[curve.flattened]
        axis.set_title(f"{curve.title}\n{words}", fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    return figure
