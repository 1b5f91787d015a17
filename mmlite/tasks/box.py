"""Boxes in the image, scored by their overlap with the gold box."""

import re
from typing import ClassVar

from mmlite.records import Example
from mmlite.tasks.base import Task
from mmlite.tasks.reading import find_answer

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the image's width and height."""

MIN_OVERLAP = 0.5
"""Intersection over union from which a box is right (visual grounding's usual threshold)."""

_NUMBER = r"\s*(-?(?:\d+(?:\.\d+)?|\.\d+))\s*"
_BRACKETED = re.compile(rf"[\[(]{','.join([_NUMBER] * 4)}[\])]")
_BARE = re.compile(",".join([_NUMBER] * 4))


def intersection_over_union(one: Corners, other: Corners) -> float:
    """Return the overlap of two boxes, from 0 (apart) to 1 (equal).

    >>> intersection_over_union((0, 0, 1, 1), (0, 0, 0.5, 1))
    0.5
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def read_box(text: str) -> Corners | None:
    """Read the last `[x1, y1, x2, y2]` of a text; None unless it is a box inside the image."""
    boxes = _BRACKETED.findall(text)
    bare = _BARE.fullmatch(text.strip(" ."))
    if boxes:
        left, top, right, bottom = map(float, boxes[-1])
    elif bare:
        left, top, right, bottom = map(float, bare.groups())
    else:
        return None
    inside = 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    return (left, top, right, bottom) if inside else None


class Box(Task):
    """A box as `[x1, y1, x2, y2]`: left, top, right, bottom in fractions of the image.

    Coordinates in pixels, and corners in another order, are unreadable.

    The row `the red star`, answered `[0.1, 0.1, 0.5, 0.5]`, becomes the prompt
    `the red star answer.`:

    >>> row = Example(id="0", turns=(), question="the red star", answers=("[0.1, 0.1, 0.5, 0.5]",))
    >>> Box().judge("Answer: [0.10, 0.1, 0.5, 0.4]", row)
    ('[0.1, 0.1, 0.5, 0.4]', 1.0)
    >>> Box().judge("[10, 10, 50, 40]", row)
    (None, 0.0)
    """

    name: ClassVar[str] = "box"

    def golds(self, example: Example) -> tuple[str, ...]:
        """Return the gold boxes."""
        return tuple(_write(box) for box in self._boxes(example))

    def parse(self, text: str, example: Example) -> str | None:
        """Return the box in one spelling."""
        answer = find_answer(text)
        box = read_box(answer.text) if answer else None
        return _write(box) if box else None

    def score(self, parsed: str, example: Example) -> float:
        """Return 1 if the box overlaps a gold box by `MIN_OVERLAP` or more, otherwise 0."""
        return float(self.overlap(parsed, example) >= MIN_OVERLAP)

    def overlap(self, parsed: str, example: Example) -> float:
        """Return the intersection over union with the nearest gold box."""
        box = read_box(parsed)
        if box is None:
            raise ValueError(
                f"box: got {parsed!r}, allowed: [x1, y1, x2, y2] in fractions from 0 to 1, left "
                f"before right, top before bottom; give what `parse` returned"
            )
        return max(intersection_over_union(box, gold) for gold in self._boxes(example))

    def _boxes(self, example: Example) -> list[Corners]:
        boxes = []
        for answer in self.answers(example):
            box = read_box(answer)
            if box is None:
                raise ValueError(
                    f"{example.row_name}: got answer {answer!r}, allowed: [x1, y1, x2, y2] in "
                    f"fractions from 0 to 1; divide pixels by the image's width and height"
                )
            boxes.append(box)
        return boxes


def _write(box: Corners) -> str:
    return f"[{', '.join(map(str, box))}]"
