"""Which items a sentence of NLVR is about, by a rule over its words.

The rule looks for noun phrases: a shape or a general noun (item, object), with a color right before
it or none. An item is relevant when it fits any of the phrases. Every item is relevant when

- a general noun stands without a color ("a box with 3 items"),
- a color stands elsewhere than before a noun ("items of which one is blue"),
- a word asks for a comparison with the rest (only, same, different, on top, not yellow, ...),
- or there is no noun phrase at all ("Two boxes look alike").
"""

import re
from functools import lru_cache

from mmlite.nlvr.scene import COLORS, SHAPES, Item

GENERAL_NOUNS = frozenset({"item", "items", "object", "objects", "block", "blocks", "thing"})
NOUNS = frozenset({*SHAPES, *(f"{shape}s" for shape in SHAPES), *GENERAL_NOUNS})
COLOR_NAMES = frozenset(COLORS.values())
COMPARING = frozenset(
    {"only", "same", "different", "all", "each", "every", "both", "equal", "more", "less", "most"}
    | {"color", "colors", "colour", "colours", "shape", "shapes", "set", "number", "other"}
    | {"top", "above", "below", "bellow", "under", "beneath", "over", "on", "between"}
)
"""Words that ask for a comparison with other items."""

Phrase = tuple[str | None, str | None]
"""Color and shape, None where any will do."""


def relevant(sentence: str, item: Item) -> bool:
    """Whether a sentence is about an item."""
    phrases = _phrases(sentence)
    return not phrases or any(
        color in (None, item.color) and shape in (None, item.shape) for color, shape in phrases
    )


@lru_cache(maxsize=4096)
def _phrases(sentence: str) -> tuple[Phrase, ...]:
    """Return the noun phrases of a sentence; none where it is about everything."""
    words = re.findall(r"[a-z]+", sentence.lower())
    if COMPARING & set(words):
        return ()
    phrases: list[Phrase] = []
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        after = words[number + 1] if number + 1 < len(words) else ""
        if word in COLOR_NAMES and (after not in NOUNS or before == "not"):
            return ()
        if word not in NOUNS:
            continue
        color = before if before in COLOR_NAMES else None
        shape = None if word in GENERAL_NOUNS else word.removesuffix("s")
        if color is None and shape is None:
            return ()
        if not (before == "grey" or after == "tower"):  # "grey square" is a box
            phrases.append((color, shape))
    return tuple(phrases)
