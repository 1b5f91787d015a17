"""What a chart shows, apart from how it is drawn. Shares are fractions in [0, 1]."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value with its interval.

    Attributes:
        x: Position on the horizontal axis.
        y: The value.
        low: Lower end of its interval; None if it has none.
        high: Upper end.
        text: What it is, in words.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, joined by a line.

    Attributes:
        label: Name people read.
        style: Number of its color and marker, the same in every chart of one kind.
        points: From left to right.
        shown: Whether the page shows it at first.
    """

    label: str
    style: int
    points: tuple[Point, ...]
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal axis.

    Attributes:
        label: What it measures.
        ticks: Positions and their labels.
        low: Left end.
        high: Right end.
    """

    label: str
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LinePanel:
    """Lines over one axis; the vertical axis runs from 0 to 1.

    Attributes:
        title: What it is about.
        series: Its lines.
        x: The horizontal axis.
        reference: Height of the dashed line for comparison; None for none.
    """

    title: str
    series: tuple[Series, ...]
    x: Axis
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class ScatterPoint:
    """One point of two measured values.

    Attributes:
        label: Written beside it.
        style: Number of its color and marker.
        x: Horizontal value, with its interval.
        y: Vertical value, with its interval.
        x_interval: Lower and upper end.
        y_interval: Lower and upper end.
        text: What it is, in words.
    """

    label: str
    style: int
    x: float
    y: float
    x_interval: tuple[float, float]
    y_interval: tuple[float, float]
    text: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points over two measured values.

    Attributes:
        x_label: What the horizontal axis measures.
        y_label: What the vertical axis measures.
        points: Its points.
        legend: Labels and styles of the kinds of points.
    """

    x_label: str
    y_label: str
    points: tuple[ScatterPoint, ...]
    legend: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a heat map: a value with its interval, and in words what it is of."""

    value: float
    low: float
    high: float
    sample: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One row of a heat map; `oracle` rows see without a model. A cell that was not run is None."""

    label: str
    cells: tuple[Cell | None, ...]
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Perceivers by reasoners on one group of questions.

    Attributes:
        title: The group.
        columns: Reasoners, small to large.
        rows: Perceivers, oracles first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Loss over steps of the runs of one stage and size, one line a seed.

    Attributes:
        title: Stage and size.
        lines: Steps and losses, by seed.
        final: Last losses, in words.
        flattened: Whether all have flattened; None if nobody measured.
    """

    title: str
    lines: tuple[tuple[tuple[float, float], ...], ...]
    final: str
    flattened: bool | None


@dataclass(frozen=True, slots=True)
class Charts:
    """All charts of a report; an empty part could not be drawn.

    Attributes:
        accuracy: Accuracy against size, a panel for each group.
        need: Drop against need for the image; None without end-to-end at two sizes.
        grids: Perception by reasoning, one for each group.
        fidelity: Fidelity of extraction against size.
        curves: Training curves.
    """

    accuracy: tuple[LinePanel, ...]
    need: Scatter | None
    grids: tuple[HeatMap, ...]
    fidelity: tuple[LinePanel, ...]
    curves: tuple[Curve, ...]
