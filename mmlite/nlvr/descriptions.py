"""Descriptions of NLVR's scenes: written in a small regular language, and read back from any text.

Each box is one sentence. A tower lists its colors from the base up; any other box lists its items
by place, in reading order:

    left tower blue blue yellow.
    middle box top-left small blue circle, bottom-right large black square touching right bottom.
    right box none.
"""

import re
from dataclasses import dataclass

from mmlite.nlvr.relevance import relevant
from mmlite.nlvr.scene import BOX_PX, BOXES, COLORS, SHAPES, SIZES, Box, BoxScene, Item, is_tower

PLACES = (
    *("top-left", "top-middle", "top-right"),
    *("middle-left", "center", "middle-right"),
    *("bottom-left", "bottom-middle", "bottom-right"),
)
"""Thirds of a box by an item's centre, in reading order."""
SIDES = ("left", "right", "top", "bottom")
COLOR_NAMES = tuple(COLORS.values())
SIZE_NAMES = tuple(SIZES.values())

WORDS = tuple(
    dict.fromkeys(
        (
            *(*BOXES, "tower", "box", "none", "touching"),
            *(*PLACES, *SIZE_NAMES, *COLOR_NAMES, *SHAPES, *SIDES, ".", ","),
        )
    )
)
"""Every word and mark of the language."""


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """One item as a description states it; None for what it does not say.

    Attributes:
        box: `left`, `middle` or `right`.
        place: One of `PLACES`, or `level-1` and up in a tower, from the base.
        size: `small`, `medium` or `large`.
        color: Name of the color.
        shape: Name of the shape.
        touching: Sides of the box that it touches; not told of the blocks of towers.
    """

    box: str | None
    place: str | None
    size: str | None
    color: str | None
    shape: str | None
    touching: tuple[str, ...] = ()


def describe(scene: BoxScene) -> str:
    """Describe everything in a scene."""
    return _write([(box, list(items)) for box, items in zip(BOXES, scene.boxes, strict=True)])


def extract(scene: BoxScene, sentence: str) -> str:
    """Describe what a sentence is about; everything, where its words do not say.

    Towers are described whole, since their sentences are about order and height. In other boxes
    those items stay that the sentence's noun phrases name (`mmlite.nlvr.relevance`).
    """
    if any(is_tower(box) for box in scene.boxes):
        return describe(scene)
    kept = [[item for item in box if relevant(sentence, item)] for box in scene.boxes]
    return _write(list(zip(BOXES, kept, strict=True)))


def place_of(item: Item) -> str:
    """Return the third of its box in which an item's centre lies."""
    column, row = (
        min(2, int((corner + item.width / 2) * 3 / BOX_PX)) for corner in (item.x, item.y)
    )
    return PLACES[3 * row + column]


def _write(boxes: list[tuple[str, list[Item]]]) -> str:
    sentences = []
    for name, items in boxes:
        box: Box = tuple(items)
        if is_tower(box):
            colors = [item.color for item in sorted(items, key=lambda item: -item.y)]
            sentences.append(f"{name} tower {' '.join(colors)}.")
            continue
        ordered = sorted(items, key=_reading_order)
        sentences.append(f"{name} box {', '.join(map(_phrase, ordered)) or 'none'}.")
    return " ".join(sentences)


def _reading_order(item: Item) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Order items by what is written of them alone, so that equal pictures have equal texts."""
    return (
        PLACES.index(place_of(item)),
        SIZE_NAMES.index(item.size),
        COLOR_NAMES.index(item.color),
        SHAPES.index(item.shape),
        tuple(SIDES.index(side) for side in item.touching),
    )


def _phrase(item: Item) -> str:
    touching = " ".join(["touching", *item.touching]) if item.touching else ""
    return f"{place_of(item)} {item.size} {item.color} {item.shape} {touching}".strip()


def words_of(seen: Seen) -> str:
    """Write one item as it was read: `left box center small blue circle touching top`."""
    touching = ("touching", *seen.touching) if seen.touching else ()
    box = f"{seen.box} box" if seen.box else None
    parts = (box, seen.place, seen.size, seen.color, seen.shape, *touching)
    return " ".join(part for part in parts if part)


def read(text: str) -> list[Seen]:
    """Read the items that any text states; phrases without a color or a shape state none."""
    seen: list[Seen] = []
    for sentence in re.split(r"[.;\n]", text.lower()):
        words = re.findall(r"[\w-]+|,", sentence)
        box = next((word for word in words[:2] if word in BOXES), None)
        if "tower" in words[:3]:
            colors = [word for word in words if word in COLOR_NAMES]
            seen += [
                Seen(box, f"level-{level}", "medium", color, "square")
                for level, color in enumerate(colors, start=1)
            ]
            continue
        rest: str = " ".join(words[1:] if box else words)
        for phrase in rest.split(","):
            parts: list[str] = list(phrase.split())
            item = _read_phrase(box, parts)
            seen += [item] if item else []
    return seen


def _read_phrase(box: str | None, words: list[str]) -> Seen | None:
    start = words.index("touching") if "touching" in words else len(words)
    about, sides = words[:start], words[start:]
    first = {
        name: next((word for word in about if word in known), None)
        for name, known in (
            ("place", PLACES),
            ("size", SIZE_NAMES),
            ("color", COLOR_NAMES),
            ("shape", SHAPES),
        )
    }
    if first["color"] is None and first["shape"] is None:
        return None
    return Seen(box=box, **first, touching=tuple(side for side in SIDES if side in sides))
