"""The words of the micro-world's language."""

import re

from mmlite.microworld.knowledge import THINGS, Knowledge
from mmlite.microworld.scene import COLORS, PLACES, SHAPES, SIZES

NUMBERS = tuple(str(number) for number in range(41))

PUNCTUATION = (".", ",", "?", ":", ";")

TEXT = """
describe look think answer nothing unknown yes no first second neither best plus minus is what
color at where the which digit on how many shapes shape are of side left right above below more
like or fewer equal to add digits and number has largest does a b c d there in picture option
"""


def words(knowledge: Knowledge) -> tuple[str, ...]:
    """Return every word, each once, in an order that never changes."""
    found = [*PUNCTUATION, *NUMBERS, *SHAPES, *COLORS, *SIZES, *PLACES]
    found += re.findall(r"\w+", TEXT)
    for relation, things in THINGS.items():
        found += [relation, *things]
    return tuple(dict.fromkeys([*found, *knowledge.beings]))
