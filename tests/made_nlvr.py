"""A tiny made-up corpus in NLVR's official layout, its pictures drawn with Pillow."""

import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from mmlite.nlvr.scene import BOX_PX, ORDERS

CORPUS_COLORS = {"yellow": "Yellow", "black": "Black", "blue": "#0099ff"}
PIXELS = {"Yellow": (255, 255, 0), "Black": (0, 0, 0), "#0099ff": (0, 153, 255)}
GREY = (200, 200, 200)
BOX_STARTS = (0, 150, 300)
SENTENCES = {
    "tower": "There is a {color} block at the top of a tower",
    "scatter": "There is a {color} {shape} touching the wall",
}


def item(color: str, shape: str, size: int, x: int, y: int) -> dict[str, Any]:
    """One item as the corpus has it."""
    return {"color": CORPUS_COLORS[color], "type": shape, "size": size, "x_loc": x, "y_loc": y}


def tower(*colors: str) -> list[dict[str, Any]]:
    """A box with a tower, its colors from the base up."""
    return [item(color, "square", 20, 40, 80 - 21 * level) for level, color in enumerate(colors)]


def record(
    identifier: str, boxes: list[list[dict[str, Any]]], *, sentence: str, label: str
) -> dict[str, Any]:
    """One line of the corpus."""
    return {
        "identifier": identifier,
        "sentence": sentence,
        "label": label,
        "directory": str(int(identifier.partition("-")[0]) % 2),
        "evals": {"r0": label},
        "structured_rep": boxes,
    }


def made_records(presentations: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Two examples for each presentation, towers and scattered items by turns."""
    rng = random.Random(seed)
    records = []
    for number in range(presentations):
        kind = ("tower", "scatter")[number % 2]
        color, shape = rng.choice(list(CORPUS_COLORS)), rng.choice(("circle", "triangle"))
        sentence = SENTENCES[kind].format(color=color, shape=shape)
        for example in range(2):
            draw = _towers if kind == "tower" else _scattered
            label = ("true", "false")[example] if number % 3 else "true"
            boxes = [draw(rng) for _ in range(3)]
            records.append(
                record(f"{100 + number}-{example}", boxes, sentence=sentence, label=label)
            )
    return records


def _towers(rng: random.Random) -> list[dict[str, Any]]:
    return tower(*rng.choices(list(CORPUS_COLORS), k=rng.randint(1, 4)))


def _scattered(rng: random.Random) -> list[dict[str, Any]]:
    places = rng.sample([(x, y) for x in (0, 35, 70) for y in (0, 35, 70)], k=rng.randint(1, 4))
    return [
        item(
            rng.choice(list(CORPUS_COLORS)),
            rng.choice(("circle", "square", "triangle")),
            rng.choice((10, 20, 30)),
            x,
            y,
        )
        for x, y in places
    ]


def write_corpus(
    root: Path, folder: str, records: list[dict[str, Any]], *, pictures: bool = True
) -> Path:
    """Write one folder of a corpus: `FOLDER/FOLDER.json` and six pictures for each record."""
    images = root / folder / "images"
    images.mkdir(parents=True)
    lines = [json.dumps(entry) for entry in records]
    (root / folder / f"{folder}.json").write_text("\n".join(lines) + "\n")
    for entry in records if pictures else ():
        place = images / entry["directory"]
        place.mkdir(exist_ok=True)
        for number, order in enumerate(ORDERS):
            boxes = [entry["structured_rep"][box] for box in order]
            draw(boxes).save(place / f"{folder}-{entry['identifier']}-{number}.png")
    return root


def draw(boxes: list[list[dict[str, Any]]]) -> Image.Image:
    """Draw three boxes from left to right, as the corpus does: 400 x 100 pixels."""
    picture = Image.new("RGB", (4 * BOX_PX, BOX_PX), "white")
    pen = ImageDraw.Draw(picture)
    for start, items in zip(BOX_STARTS, boxes, strict=True):
        pen.rectangle((start, 0, start + BOX_PX - 1, BOX_PX - 1), fill=GREY)
        for entry in items:
            x, y, width = start + entry["x_loc"], entry["y_loc"], entry["size"] - 1
            fill = PIXELS[entry["color"]]
            corners = (x, y, x + width, y + width)
            if entry["type"] == "triangle":
                pen.polygon([(x, y + width), (x + width / 2, y), (x + width, y + width)], fill=fill)
            else:
                {"circle": pen.ellipse, "square": pen.rectangle}[entry["type"]](corners, fill=fill)
    return picture
