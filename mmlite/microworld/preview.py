"""A look at the micro-world: a grid of pictures with a question and its answer beneath each."""

import os
import random
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mmlite.microworld.questions import Question, Questions
from mmlite.microworld.render import Picture, render
from mmlite.microworld.scene import Split, WorldConfig, draw_scene_of

SCALE = 3
"""Screen pixels per pixel of a picture."""

MARGIN_PX = 12
FONT_PX = 13
LINE_PX = 17
NUM_LINES = 5
"""Lines of text below a picture: the question, wrapped, and the answer."""


def preview_world(
    path: str | Path,
    *,
    rows: int = 3,
    columns: int = 4,
    seed: int = 0,
    split: Split = "train",
    config: WorldConfig = WorldConfig(),  # noqa: B008
    questions: Questions | None = None,
) -> Path:
    """Draw a grid of pictures, their kinds of questions in turn, and save it as PNG.

    Args:
        path: Where the file goes; its name ends in `.png`.
        rows: Rows of the grid.
        columns: Columns of the grid.
        seed: Decides the scenes, pictures and questions.
        split: Which scenes.
        config: Difficulty dials.
        questions: The kinds; the built-in ones by default.

    Returns:
        The path.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"preview: got {str(path)!r}, allowed: a name that ends in .png")
    if min(rows, columns) < 1:
        raise ValueError(f"preview: got {rows} rows, {columns} columns, allowed: 1 or more each")
    questions = questions or Questions()
    rng = random.Random(f"preview {split} {seed}")
    width = config.image_px * SCALE + MARGIN_PX
    height = config.image_px * SCALE + NUM_LINES * LINE_PX + MARGIN_PX
    sheet = Image.new("RGB", (columns * width + MARGIN_PX, rows * height + MARGIN_PX), "white")
    names = tuple(questions.kinds)
    for number in range(rows * columns):
        picture, question = _asked(names[number % len(names)], questions, split, rng, config)
        row, column = divmod(number, columns)
        corner = (column * width + MARGIN_PX, row * height + MARGIN_PX)
        _draw_cell(sheet, corner, picture, questions.ask(question), question)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(unfinished, format="PNG")
    unfinished.replace(path)
    return path


def _asked(
    kind: str, questions: Questions, split: Split, rng: random.Random, config: WorldConfig
) -> tuple[Picture, Question]:
    """Draw a picture with a question, of another kind where a hundred scenes allow none of it."""
    while True:
        for _ in range(100):
            scene = draw_scene_of(split, rng, config)
            question = questions.pick(kind, scene, rng)
            if question is not None:
                return Picture(scene, rng.getrandbits(32), config), question
        kind = rng.choice(tuple(questions.kinds))


def _draw_cell(
    sheet: Image.Image, corner: tuple[int, int], picture: Picture, asked: str, question: Question
) -> None:
    left, top = corner
    side = picture.config.image_px * SCALE
    pixels = Image.fromarray(render(picture)).resize((side, side), Image.Resampling.NEAREST)
    sheet.paste(pixels, corner)
    font = ImageFont.load_default(size=FONT_PX)
    draw = ImageDraw.Draw(sheet)
    # Letters of this font are narrower than 0.55 of its size on average.
    lines = textwrap.wrap(asked, int(side / (0.55 * FONT_PX)))[: NUM_LINES - 1]
    for number, line in enumerate(lines):
        draw.text((left, top + side + 4 + number * LINE_PX), line, fill="black", font=font)
    answer = (left, top + side + 4 + len(lines) * LINE_PX)
    draw.text(answer, f"{question.kind}: {question.answer}", fill=(0, 90, 170), font=font)
