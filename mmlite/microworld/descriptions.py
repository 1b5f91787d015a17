"""Texts about a scene, and reading such texts back.

A description is a list of clauses, each ended by a full stop and about one object:
`top-left large red circle 7. center blue star.` A clause names its object by shape or by place
(both are unique in a scene) and states some of color, size, digit, place and shape.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mmlite.microworld.scene import COLORS, DIGITS, PLACES, SHAPES, SIZES, Object, Scene

ATTRIBUTES = {
    "shape": frozenset(SHAPES),
    "color": frozenset(COLORS),
    "size": frozenset(SIZES),
    "digit": frozenset(DIGITS),
    "place": frozenset(PLACES),
}
"""Words of each attribute."""

NOTHING = "nothing."
"""What is written when the image has nothing to do with the question, or nobody looked."""

CAPTION_OBJECTS = 4
"""Most objects a caption names."""


@dataclass(frozen=True, slots=True)
class Clause:
    """What one clause says.

    Attributes:
        text: The clause as written, without its full stop.
        values: Attribute to value; the first word of an attribute counts.
        anchor: The first shape or place named, by which the clause is referred to; or None.
    """

    text: str
    values: dict[str, str]
    anchor: str | None


def sentence(*words: str | None) -> str:
    """Join words into one clause with its full stop; None is left out."""
    return " ".join(word for word in words if word) + "."


def describe_object(obj: Object) -> str:
    """Return the clause that tells everything about an object."""
    return sentence(obj.place, obj.size, obj.color, obj.shape, obj.digit)


def full_description(scene: Scene, *, by_shape: bool = False) -> str:
    """Return every fact of a scene, objects in reading order.

    Args:
        scene: What is described.
        by_shape: Whether a clause names the shape first instead of the place. Text mixes both,
            since looking a shape up is learnt sooner where its attributes follow it.
    """
    if by_shape:
        return " ".join(
            sentence(obj.shape, obj.place, obj.size, obj.color, obj.digit) for obj in scene.objects
        )
    return " ".join(describe_object(obj) for obj in scene.objects)


def caption(scene: Scene) -> str:
    """Return a caption: the salient objects, not more than `CAPTION_OBJECTS`.

    Large objects come first and are told in full; of small ones only place, color and shape are
    told. What is left out is what a caption loses against an extraction.
    """
    salient = sorted(scene.objects, key=lambda obj: obj.size != "large")[:CAPTION_OBJECTS]
    return " ".join(
        describe_object(obj) if obj.size == "large" else sentence(obj.place, obj.color, obj.shape)
        for obj in salient
    )


def read_clauses(text: str) -> list[Clause]:
    """Read any text as a list of clauses; clauses without a word of the world are left out."""
    clauses = []
    for part in re.split(r"[.;\n]", text):
        values: dict[str, str] = {}
        anchor = None
        for word in re.findall(r"[\w-]+", part.lower()):
            for attribute, words in ATTRIBUTES.items():
                if word in words and attribute not in values:
                    values[attribute] = word
                    if anchor is None and attribute in ("shape", "place"):
                        anchor = word
        if values:
            clauses.append(Clause(part.strip(), values, anchor))
    return clauses


def look_up(clauses: Iterable[Clause], key: str, value: str, attribute: str) -> str | None:
    """Return an attribute from the first clause whose `key` has `value` and that states it."""
    for clause in clauses:
        if clause.values.get(key) == value and attribute in clause.values:
            return clause.values[attribute]
    return None
