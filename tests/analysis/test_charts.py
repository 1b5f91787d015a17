"""Charts of lines: what lies at one place can still be told."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from mmlite.analysis.charts.model import Axis, Charts, LinePanel, Point, Series
from mmlite.analysis.charts.png import COLORS, write_plots
from mmlite.analysis.charts.svg import color, draw_lines


def equal_lines(styles: tuple[int, ...]) -> LinePanel:
    """Systems that are right equally often at every size."""
    points = tuple(Point(x, 0.5, 0.4, 0.6, "") for x in (0.0, 1.0, 2.0))
    axis = Axis("size", ((0.0, "s"), (1.0, "m"), (2.0, "l")), -0.2, 2.2)
    series = tuple(Series(f"system {style}", style, points) for style in styles)
    return LinePanel("equal", series, axis)


@pytest.mark.parametrize("styles", [(0, 1), (0, 1, 2, 3), (0, 6), (6, 12), (1, 4, 5)])
def test_equal_systems_are_all_seen(tmp_path: Path, styles: tuple[int, ...]) -> None:
    panel = equal_lines(styles)
    (path,) = write_plots(Charts((panel,), None, (), (), ()), tmp_path)
    picture = matplotlib.image.imread(path)[:, :, :3]
    plot = picture[: int(0.6 * len(picture))]  # without the legend
    for style in styles:
        wanted = [int(COLORS[color(style)][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        seen = (np.abs(plot - wanted) < 0.02).all(axis=2).sum()
        assert seen > 100, style
    places = [line.marks[0].x for line in draw_lines(panel).lines]
    assert len(set(places)) == len(styles)
