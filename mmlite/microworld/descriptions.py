"""Texts about a scene, and reading such texts back.

A description is a list of clauses, each ended by a full stop and about one object:
`top-left large red circle 7. center blue star.` A clause names its object by shape or by place
(both are unique in a scene) and states some of color, size, digit, place and shape.
"""

import random
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
    return " ".join(_clause(obj, by_shape=by_shape, is_full=True) for obj in scene.objects)


def caption(scene: Scene) -> str:
    """Return a caption: the salient objects, not more than `CAPTION_OBJECTS`.

    Large objects come first and are told in full; of small ones only place, color and shape are
    told. What is left out is what a caption loses against an extraction.
    """
    clauses = [_clause(obj, by_shape=False, is_full=obj.size == "large") for obj in _salient(scene)]
    return " ".join(clauses)


def caption_by_shape(scene: Scene, rng: random.Random) -> str:
    """Return a caption whose clauses name the shape first, in random order.

    It tells what `caption` tells. Since nothing says which object comes next, what follows a shape
    must be looked up in the picture by it, as questions ask for it; in reading order a model may
    go from one object to the next without ever looking one up.
    """
    objects = _salient(scene)
    rng.shuffle(objects)
    return " ".join(_clause(obj, by_shape=True, is_full=obj.size == "large") for obj in objects)


def _salient(scene: Scene) -> list[Object]:
    return sorted(scene.objects, key=lambda obj: obj.size != "large")[:CAPTION_OBJECTS]


def _clause(obj: Object, *, by_shape: bool, is_full: bool) -> str:
    """Return the clause of an object, with its size and digit or without."""
    size, digit = (obj.size, obj.digit) if is_full else (None, None)
    if by_shape:
        return sentence(obj.shape, obj.place, size, obj.color, digit)
    return sentence(obj.place, size, obj.color, obj.shape, digit)


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
