"""Where things go in the SVG charts of the page; `templates/charts.jinja` writes them.

Coordinates are in the chart's own pixels, the page scales them. Colors come from the page's
style sheet by number, so that light, dark and print each have their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmlite.analysis.charts.model import Curve, LinePanel, Scatter, Series
from mmlite.analysis.words import signed

STYLES = 11
"""Number of colors in the style sheet."""
_MAIN_STYLES = 4
"""The first colors are for what is compared, the others are for references."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The plot area and its two scales.

    Attributes:
        width: Of the whole chart.
        height: Of the whole chart.
        left: Left end of the plot area.
        right: Right end.
        top: Upper end.
        bottom: Lower end.
        x_low: Value at the left end.
        x_high: Value at the right end.
        y_low: Value at the lower end.
        y_high: Value at the upper end.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Return the horizontal place of a value."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Return the vertical place of a value."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(self.bottom - share * (self.bottom - self.top), 1)


def color(style: int) -> int:
    """Return the number of a style's color; beyond the last one, references share colors."""
    references = STYLES - _MAIN_STYLES
    return style if style < STYLES else _MAIN_STYLES + (style - STYLES) % references


def marker(style: int, x: float, y: float, *, radius: float = 4.4) -> str:
    """Return the path of a marker; neighbouring styles differ in shape, not only in color."""
    r = radius
    corners: Sequence[tuple[float, float]]
    match style % 6:
        case 0:
            return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
        case 1:
            r *= 0.92
            corners = ((-r, -r), (r, -r), (r, r), (-r, r))
        case 2:
            corners = ((0, -1.25 * r), (1.15 * r, 0.8 * r), (-1.15 * r, 0.8 * r))
        case 3:
            corners = ((0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0))
        case 4:
            corners = ((0, 1.25 * r), (1.15 * r, -0.8 * r), (-1.15 * r, -0.8 * r))
        case _:
            t = r / 3
            steps = ((-t, -r), (t, -r), (t, -t), (r, -t), (r, t), (t, t))
            corners = (*steps, *((-a, -b) for a, b in steps))
    return "M" + "L".join(f"{x + a:.1f} {y + b:.1f}" for a, b in corners) + "z"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point: its marker, its interval bar from `y1` to `y2`, and its words."""

    path: str
    x: float
    y1: float | None
    y2: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its marks."""

    label: str
    style: int
    color: int
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class LineDrawing:
    """A panel of lines, placed."""

    title: str
    frame: Frame
    x_ticks: tuple[tuple[float, tuple[str, ...]], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    reference: tuple[float, float] | None
    lines: tuple[Line, ...]
    summary: str


def sideways(count: int) -> list[float]:
    """Return by how many pixels each of so many lines is moved, so that equal ones can be told."""
    step = min(5.0, max(2.6, 26 / count)) if count else 0.0
    return [step * (number - (count - 1) / 2) for number in range(count)]


def draw_lines(panel: LinePanel) -> LineDrawing:
    """Place a panel of lines."""
    frame = Frame(340, 268, 34, 330, 10, 212, panel.x.low, panel.x.high, 0.0, 1.0)
    shifts = sideways(len(panel.series))
    lines = tuple(
        _draw_line(series, frame, shift=shift)
        for series, shift in zip(panel.series, shifts, strict=True)
    )
    reference = panel.reference
    return LineDrawing(
        title=panel.title,
        frame=frame,
        x_ticks=tuple((frame.x(at), tuple(label.split("\n"))) for at, label in panel.x.ticks),
        y_ticks=tuple((frame.y(tick / 4), f"{25 * tick}") for tick in range(5)),
        x_label=panel.x.label,
        reference=None if reference is None else (frame.y(reference), reference),
        lines=lines,
        summary="; ".join(mark.text for line in lines for mark in line.marks),
    )


def _draw_line(series: Series, frame: Frame, *, shift: float) -> Line:
    marks = []
    for point in series.points:
        x, y = frame.x(point.x) + shift, frame.y(point.y)
        marks.append(
            Mark(
                path=marker(series.style, x, y, radius=4.4 if series.style < _MAIN_STYLES else 3.4),
                x=round(x, 1),
                y1=None if point.low is None else frame.y(point.low),
                y2=None if point.high is None else frame.y(point.high),
                text=point.text,
            )
        )
    places = [f"{m.x} {frame.y(p.y)}" for m, p in zip(marks, series.points, strict=True)]
    path = "M" + "L".join(places) if places else ""
    return Line(series.label, series.style, color(series.style), path, tuple(marks))


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter chart, with its cross of intervals and its label."""

    path: str
    style: int
    cross: str
    text: str
    label: str
    label_x: float
    label_y: float
    anchor: str
    leader: str


@dataclass(frozen=True, slots=True)
class ScatterDrawing:
    """A scatter chart, placed."""

    frame: Frame
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    y_label: str
    zero_x: float
    zero_y: float
    dots: tuple[Dot, ...]
    summary: str


def draw_scatter(chart: Scatter) -> ScatterDrawing:
    """Place a scatter chart; labels avoid each other as far as they can."""
    xs = [end for p in chart.points for end in p.x_interval]
    ys = [end for p in chart.points for end in p.y_interval]
    x_low, x_high = _round_out(min(0.0, *xs), max(0.0, *xs))
    y_low, y_high = _round_out(min(0.0, *ys), max(0.0, *ys))
    frame = Frame(520, 400, 48, 508, 12, 346, x_low, x_high, y_low, y_high)
    places = [(frame.x(p.x), frame.y(p.y)) for p in chart.points]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    dots = []
    for point, (x, y) in zip(chart.points, places, strict=True):
        label_x, label_y, anchor = _place_label(point.label, x, y, frame, taken)
        left, right = (frame.x(value) for value in point.x_interval)
        low, high = (frame.y(value) for value in point.y_interval)
        dots.append(
            Dot(
                path=marker(point.style, x, y, radius=5),
                style=point.style,
                cross=f"M{left} {y}H{right}M{x} {low}V{high}",
                text=point.text,
                label=point.label,
                label_x=label_x,
                label_y=label_y,
                anchor=anchor,
                leader=f"M{x} {y}L{label_x} {label_y - 4}" if abs(label_y - y) > 15 else "",
            )
        )
    return ScatterDrawing(
        frame=frame,
        x_ticks=tuple((frame.x(value), signed(100 * value)) for value in _ticks(x_low, x_high)),
        y_ticks=tuple((frame.y(value), signed(100 * value)) for value in _ticks(y_low, y_high)),
        x_label=chart.x_label,
        y_label=chart.y_label,
        zero_x=frame.x(0),
        zero_y=frame.y(0),
        dots=tuple(dots),
        summary="; ".join(point.text for point in chart.points),
    )


def _place_label(
    label: str, x: float, y: float, frame: Frame, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, str]:
    width, best = 6.0 * len(label), None
    for dx, dy, anchor in (
        (9, -4, "start"),
        (-9, -4, "end"),
        (9, 14, "start"),
        (-9, 14, "end"),
        (0, -12, "middle"),
        (0, 22, "middle"),
        *((16, dy, "start") for dy in (-18, 28, -32, 42, -46, 56, -60, 70)),
        *((-16, dy, "end") for dy in (-18, 28, -32, 42, -46, 56, -60, 70)),
    ):
        left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
        box = (left, y + dy - 10, left + width, y + dy + 2)
        overlap = sum(_overlap(box, other) for other in taken)
        if box[0] < frame.left or box[2] > frame.width or box[1] < 0 or box[3] > frame.bottom:
            overlap += 500
        if best is None or overlap < best[0]:
            best = (overlap, box, (round(x + dx, 1), round(y + dy, 1), anchor))
    assert best is not None
    taken.append(best[1])
    return best[2]


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _step(low: float, high: float) -> float:
    return 0.1 if high - low <= 0.7 else 0.2


def _round_out(low: float, high: float) -> tuple[float, float]:
    step = _step(low, high)
    return math.floor(low / step + 0.01) * step, max(math.ceil(high / step - 0.01), 1) * step


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    return [number * step for number in range(round(low / step), round(high / step) + 1)]


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """A training curve, placed; the vertical axis is logarithmic."""

    title: str
    final: str
    flattened: bool | None
    frame: Frame
    paths: tuple[str, ...]
    last_step: float
    top_loss: float
    bottom_loss: float


def draw_curve(curve: Curve) -> CurveDrawing:
    """Place a training curve."""
    smallest = 1e-4
    losses = [max(loss, smallest) for line in curve.lines for _, loss in line]
    low, high = math.log10(min(losses)), math.log10(max(losses))
    last = max(step for line in curve.lines for step, _ in line)
    frame = Frame(200, 96, 2, 198, 4, 92, 0.0, last or 1.0, low, max(high, low + 0.1))
    paths = tuple(
        "M" + "L".join(f"{frame.x(s)} {frame.y(math.log10(max(v, smallest)))}" for s, v in line)
        for line in curve.lines
    )
    return CurveDrawing(
        curve.title, curve.final, curve.flattened, frame, paths, last, max(losses), min(losses)
    )
