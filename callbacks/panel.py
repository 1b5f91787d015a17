"""Drawing samples: a grid of pictures, each with what was asked, written and right beside it."""

import textwrap
import warnings
from typing import TYPE_CHECKING

import numpy as np

from mmlite.images import open_image
from mmlite.records import IMAGE_PLACEHOLDER
from mmlite.stages.answers import Answered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
"""Samples side by side."""

SAMPLE_INCHES = (6.4, 2.2)
"""Width and height of a sample."""

MARGIN_INCHES = 0.15
"""Around a picture."""

LINE_LETTERS = 50
"""Letters of a line of text, which fill the space beside a picture."""

MAX_LINES = 3
"""Lines that one text may take; the rest is cut."""

RIGHT_COLOR, WRONG_COLOR = "#1b7837", "#b2182b"
"""Of the verdict, which is also told in a word."""


def draw(samples: list[Answered]) -> np.ndarray:
    """Draw samples.

    Returns:
        Height x width x 3, uint8.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    size = SAMPLE_INCHES[0] * columns, SAMPLE_INCHES[1] * rows
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    for place, answered in enumerate(samples):
        _draw_sample(figure, place % columns / columns, 1 - place // columns / rows, answered)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def verdict(answered: Answered) -> str:
    """Return whether an answer is right, in words."""
    if answered.parsed is None:
        return "wrong: unreadable"
    if answered.score == 1.0:
        return "right"
    return "wrong" if not answered.score else f"wrong: score {answered.score:.2f}"


def asked(answered: Answered) -> str:
    """Return what was asked: the question, else the prompt."""
    example = answered.example
    prompts = [turn.text for turn in example.turns if turn.role == "user"]
    prompt = prompts[-1].replace(IMAGE_PLACEHOLDER, "") if prompts else ""
    return (example.question or prompt).strip()


def _draw_sample(figure: "Figure", left: float, top: float, answered: Answered) -> None:
    """Draw one sample whose upper left corner is there, as fractions of the figure."""
    width, height = figure.get_size_inches()
    side, margin = SAMPLE_INCHES[1] - 2 * MARGIN_INCHES, MARGIN_INCHES
    color = RIGHT_COLOR if answered.score == 1.0 else WRONG_COLOR
    x, y = left + margin / width, top - (margin + side) / height
    _draw_picture(figure.add_axes((x, y, side / width, side / height)), answered, color)
    # Texts have their own axes, in inches, so that what is too wide is cut at their border.
    inches = SAMPLE_INCHES[0] - side - 2 * margin
    axes = figure.add_axes((x + (side + margin) / width, y, inches / width, side / height))
    axes.set(xlim=(0, inches), ylim=(side, 0))
    axes.set_axis_off()
    _write_texts(axes, answered, color)


def _draw_picture(axes: "Axes", answered: Answered, color: str) -> None:
    axes.set(xticks=[], yticks=[])
    if answered.example.images:
        axes.imshow(open_image(answered.example.images[0]), interpolation="nearest")
    else:
        axes.text(0.5, 0.5, "no image", ha="center", va="center", color="#666666")
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=2)


def _write_texts(axes: "Axes", answered: Answered, color: str) -> None:
    lines = [
        (answered.example.category or answered.example.task, "#666666"),
        (f"asked: {asked(answered)}", "#000000"),
        (f"gold: {answered.gold}", "#000000"),
        (f"written: {answered.output}", color),
        (verdict(answered), color),
    ]
    y = 0.0
    for text, text_color in lines:
        shown = _cut(text)
        style = {"color": text_color, "fontsize": 10, "va": "top"}
        axes.text(0, y, shown, **style, parse_math=False, clip_on=True)
        y += 0.165 * (shown.count("\n") + 1) + 0.045


def _cut(text: str) -> str:
    """Wrap a text, leave out what cannot be shown, and cut what is too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    lines = textwrap.wrap(shown, LINE_LETTERS, max_lines=MAX_LINES, placeholder=" ...")
    return "\n".join(lines)
