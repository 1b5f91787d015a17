"""Scenes of NLVR: three boxes with items, and the six orders in which pictures show them.

The corpus is described in Suhr et al., A Corpus of Natural Language for Visual Reasoning, ACL 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Self

BOXES = ("left", "middle", "right")
BOX_PX = 100
"""Width and height of a box; x and y run from 0 at its top left corner."""

BOX_STEP_PX = 150
"""From the left of one box to that of the next: there are 50 pixels between them."""
PICTURE_PX = 400
"""Width of a picture; its height is that of a box."""

COLORS: Mapping[str, str] = {"yellow": "yellow", "black": "black", "#0099ff": "blue"}
"""Our names of the corpus's colors."""
SHAPES = ("circle", "square", "triangle")
SIZES: Mapping[int, str] = {10: "small", 20: "medium", 30: "large"}
"""Our names of the corpus's sizes, which are widths in pixels."""

ORDERS: tuple[tuple[int, int, int], ...] = tuple(permutations(range(3)))  # type: ignore[assignment]
"""For each permutation k of an example, which box of the structured representation stands left,
in the middle and right: lexicographic order, so permutation 0 is the representation's own. The
corpus does not say so; the tests hold it against the pixels of its pictures."""

TOWER_X = 40
TOWER_BASE_Y = 80
TOWER_STEP = 21
TOUCHING_PX = 1
"""Gap to a side up to which an item touches it. Of the gaps 0 to 7, this one agrees with all 76
training sentences of the simplest form about touching an edge; 0 and 2 miss one, 3 misses four."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item; `x` and `y` are its left and top in pixels from its box's corner."""

    shape: str
    color: str
    size: str
    x: int
    y: int

    @property
    def width(self) -> int:
        """Width and height in pixels."""
        return next(px for px, name in SIZES.items() if name == self.size)

    @property
    def touching(self) -> tuple[str, ...]:
        """Sides of its box that it touches: left, right, top, bottom."""
        gaps = {
            "left": self.x,
            "right": BOX_PX - self.x - self.width,
            "top": self.y,
            "bottom": BOX_PX - self.y - self.width,
        }
        return tuple(side for side, gap in gaps.items() if gap <= TOUCHING_PX)


Box = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class BoxScene:
    """Three boxes from left to right, each with its items in the corpus's order."""

    boxes: tuple[Box, Box, Box]

    @classmethod
    def from_corpus(cls, structured: Sequence[Sequence[Mapping[str, Any]]], order: int = 0) -> Self:
        """Read a structured representation, in the order of one of the six permutations.

        Raises:
            ValueError: If it has not three boxes, or an item has an unknown shape, color or size.
        """
        if not isinstance(structured, list) or len(structured) != len(BOXES):
            raise ValueError(f"structured_rep: got {structured!r}, allowed: a list of three boxes")
        boxes = [tuple(_item(item) for item in box) for box in structured]
        left, middle, right = (boxes[number] for number in ORDERS[order])
        return cls((left, middle, right))

    def to_json(self) -> dict[str, Any]:
        """Return `{"boxes": [[{"shape", "color", "size", "x", "y"}, ...], ...]}`."""
        names = ("shape", "color", "size", "x", "y")
        return {
            "boxes": [[{n: getattr(item, n) for n in names} for item in box] for box in self.boxes]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a scene from what `to_json` returned."""
        left, middle, right = (tuple(Item(**item) for item in box) for box in value["boxes"])
        return cls((left, middle, right))


def is_tower(box: Box) -> bool:
    """Whether a box holds a tower: medium squares on each other, standing in its middle."""
    heights = sorted((item.y for item in box), reverse=True)
    return (
        bool(box)
        and all((item.shape, item.size, item.x) == ("square", "medium", TOWER_X) for item in box)
        and heights == [TOWER_BASE_Y - TOWER_STEP * level for level in range(len(box))]
    )


def _item(value: Mapping[str, Any]) -> Item:
    try:
        shape, color, size = value["type"], str(value["color"]).lower(), value["size"]
        x, y = int(value["x_loc"]), int(value["y_loc"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"structured_rep: got item {value!r}, allowed: an object with type, color, size, "
            "x_loc and y_loc"
        ) from error
    if shape not in SHAPES or color not in COLORS or size not in SIZES:
        raise ValueError(
            f"structured_rep: got item of type {shape!r}, color {value['color']!r}, size {size!r}, "
            f"allowed: {', '.join(SHAPES)}; {', '.join(COLORS)}; {', '.join(map(str, SIZES))}"
        )
    return Item(shape, COLORS[color], SIZES[size], x, y)
