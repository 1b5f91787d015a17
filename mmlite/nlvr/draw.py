"""Drawing scenes like those of the corpus: towers, or items scattered without overlap."""

import random

from mmlite.nlvr.descriptions import COLOR_NAMES
from mmlite.nlvr.scene import (
    BOX_PX,
    SHAPES,
    SIZES,
    TOWER_BASE_Y,
    TOWER_STEP,
    TOWER_X,
    Box,
    BoxScene,
    Item,
)

MOST_BLOCKS = 4
MOST_ITEMS = 8
TOUCHING_SHARE = 0.35
"""Share of scattered items that are put at a side; about a third of the corpus's touch one."""
TRIES = 40


def draw_scene(rng: random.Random, *, towers: bool) -> BoxScene:
    """Draw three boxes of towers, or of scattered items."""
    left, middle, right = ((_tower if towers else _scattered)(rng) for _ in range(3))
    return BoxScene((left, middle, right))


def _tower(rng: random.Random) -> Box:
    return tuple(
        Item("square", rng.choice(COLOR_NAMES), "medium", TOWER_X, TOWER_BASE_Y - TOWER_STEP * n)
        for n in range(rng.randint(1, MOST_BLOCKS))
    )


def _scattered(rng: random.Random) -> Box:
    items: list[Item] = []
    for _ in range(rng.randint(1, MOST_ITEMS)):
        width, size = rng.choice(list(SIZES.items()))
        for _ in range(TRIES):
            far = BOX_PX - width
            x, y = rng.randint(0, far), rng.randint(0, far)
            if rng.random() < TOUCHING_SHARE:
                x, y = rng.choice(((x, 0), (x, far), (0, y), (far, y)))
            item = Item(rng.choice(SHAPES), rng.choice(COLOR_NAMES), size, x, y)
            if not any(_overlap(item, other) for other in items):
                items.append(item)
                break
    return tuple(items)


def _overlap(one: Item, other: Item) -> bool:
    reach = (one.width + other.width) / 2
    return all(
        abs(a + one.width / 2 - b - other.width / 2) < reach
        for a, b in ((one.x, other.x), (one.y, other.y))
    )
