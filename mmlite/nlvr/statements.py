"""Generated statements about generated scenes, with their truth: text to pretrain a reasoner on.

The corpus has too few sentences to learn from them alone what "exactly two" or "at the base"
means. These statements say it in some of the corpus's ways, about scenes drawn here; no sentence
and no scene is taken from the corpus:

    left tower blue. middle tower black yellow. right tower blue blue.
    there are exactly two towers with a blue block at the base      (true)
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mmlite.nlvr.descriptions import COLOR_NAMES
from mmlite.nlvr.draw import draw_scene
from mmlite.nlvr.scene import SHAPES, Box, BoxScene, Item

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
TRIES = 12
"""Scenes that are drawn for one statement before another is tried."""

TOUCHES = (
    ("touching the wall", frozenset({"left", "right", "top", "bottom"})),
    ("touching the edge", frozenset({"left", "right", "top", "bottom"})),
    ("closely touching the edge", frozenset({"left", "right", "top", "bottom"})),
    ("touching the base", frozenset({"bottom"})),
    ("closely touching the bottom of a box", frozenset({"bottom"})),
    ("touching the top", frozenset({"top"})),
    ("touching the right side", frozenset({"right"})),
    ("touching the left side", frozenset({"left"})),
)
"""Ways to say that an item touches a side of its box, and the sides that will do."""

COUNTED = ("exactly ", "only ", "at least ", "at most ")


@dataclass(frozen=True)
class Phrase:
    """What a statement counts: words for one and for several, and which things fit."""

    one: str
    many: str
    holds: Callable[[Any], bool]

    def with_words(self, words: str, holds: Callable[[Any], bool]) -> "Phrase":
        """Return the phrase with more words and one more condition."""
        one, many = f"{self.one} {words}".strip(), f"{self.many} {words}".strip()
        return Phrase(one, many, lambda thing: self.holds(thing) and holds(thing))


def draw_statement(rng: random.Random) -> tuple[BoxScene, str, bool]:
    """Draw a statement, a scene, and whether it is true of it.

    The truth is drawn first and scenes until one fits, so that every statement is true half of the
    times: its words alone tell nothing.
    """
    while True:
        towers, wanted = rng.random() < 0.5, rng.random() < 0.5
        text, things, test = _state(rng, towers=towers)
        for _ in range(TRIES):
            scene = draw_scene(rng, towers=towers)
            if test(things(scene)) == wanted:
                return scene, text, wanted


_ONE = ("a ", "no ", *(f"{q}{n} " for q in ("", *COUNTED) for n in ("one", "1")))
"""How what is one begins."""


def _state(
    rng: random.Random, *, towers: bool
) -> tuple[str, Callable[[BoxScene], int], Callable[[int], bool]]:
    """Return a statement, how to count what it counts, and the test of the number found."""
    of_boxes = rng.random() < 0.6
    if of_boxes:
        phrase, most = (_tower(rng) if towers else _box(rng)), 3
    else:
        phrase, most = (_block(rng), 6) if towers else (_item(rng), 5)

    def count(scene: BoxScene) -> int:
        things = scene.boxes if of_boxes else [item for box in scene.boxes for item in box]
        return sum(map(phrase.holds, things))

    text, test = _amount(rng, phrase, rng.randint(1, most), allow_no=True)
    return f"there {'is' if text.startswith(_ONE) else 'are'} {text}", count, test


def _item(rng: random.Random) -> Phrase:
    color = rng.choice((None, *COLOR_NAMES))
    shape = rng.choice((None, *SHAPES)) if color else rng.choice(SHAPES)
    noun = shape or rng.choice(("item", "object"))
    named = f"{color} {noun}" if color else noun
    phrase = Phrase(
        named,
        f"{named}s",
        lambda item: color in (None, item.color) and shape in (None, item.shape),
    )
    if rng.random() < 0.5:
        return phrase
    if rng.random() < 0.15:
        corner = rng.choice(("touching the corner", "closely touching a corner"))
        return phrase.with_words(corner, lambda item: len(item.touching) > 1)
    words, sides = rng.choice(TOUCHES)
    if rng.random() < 0.1:
        return phrase.with_words(f"not {words}", lambda item: not sides & {*item.touching})
    return phrase.with_words(words, lambda item: bool(sides & {*item.touching}))


def _block(rng: random.Random) -> Phrase:
    color = rng.choice(COLOR_NAMES)
    return Phrase(f"{color} block", f"{color} blocks", lambda item: item.color == color)


def _box(rng: random.Random) -> Phrase:
    box = Phrase("box", "boxes", lambda _: True)
    kind = rng.random()
    if kind < 0.45:
        return _containing(rng, box, _item(rng), rng.choice(("with", "with", "containing")))
    if kind < 0.6:
        items = Phrase("item", "items", lambda _: True)
        return _containing(rng, box, items, "with")
    if kind < 0.75:
        first, second = _item(rng), _item(rng)
        words = f"with a {first.one} and a {second.one}"
        return box.with_words(words, lambda b: all(any(map(p.holds, b)) for p in (first, second)))
    return _of_colors(rng, box, "items")


def _tower(rng: random.Random) -> Phrase:
    tower = Phrase("tower", "towers", lambda _: True)
    color, other = rng.choice(COLOR_NAMES), rng.choice(COLOR_NAMES)
    kind = rng.random()
    if kind < 0.3:
        end, place = rng.choice(((0, "at the base"), (0, "as the base"), (-1, "at the top")))
        words = rng.choice((f"with a {color} block {place}", f"that has a {color} block {place}"))
        return tower.with_words(words, lambda box: _colors(box)[end] == color)
    if kind < 0.45:
        return _containing(rng, tower, _block(rng), "with")
    if kind < 0.6:
        blocks = Phrase("block", "blocks", lambda _: True)
        return _containing(rng, tower, blocks, rng.choice(("with", "that has")))
    if kind < 0.75:
        above, below = rng.choice((("above", "below"), ("over", "under"), ("on top of", "below")))
        if rng.random() < 0.7:
            words, low, high = f"with a {color} block {above} a {other} block", other, color
        else:
            words, low, high = f"with a {color} block {below} a {other} block", color, other
        return tower.with_words(words, lambda box: (low, high) in _neighbors(box))
    if kind < 0.85:
        named = Phrase(f"{color} tower", f"{color} towers", lambda box: {*_colors(box)} == {color})
        return named
    return _of_colors(rng, tower, "blocks")


def _of_colors(rng: random.Random, box: Phrase, things: str) -> Phrase:
    """Say which or how many colors the items of a box have."""
    color, number = rng.choice(COLOR_NAMES), rng.randint(1, 3)
    kind = rng.random()
    if kind < 0.4:
        return box.with_words(f"with only {color} {things}", lambda b: {*_colors(b)} == {color})
    if kind < 0.6:
        words = f"with all {things} of the same color"
        return box.with_words(words, lambda b: len({*_colors(b)}) == 1)
    if kind < 0.8:
        words = f"with no {color} {things}"
        return box.with_words(words, lambda b: color not in _colors(b))
    words = f"with {things} of {_number(rng, number)} different color{'s' * (number > 1)}"
    return box.with_words(words, lambda b: len({*_colors(b)}) == number)


def _containing(rng: random.Random, box: Phrase, items: Phrase, word: str) -> Phrase:
    """Say how many of some items a box has."""
    text, test = _amount(rng, items, rng.randint(1, 4), allow_no=False)
    return box.with_words(f"{word} {text}", lambda b: test(sum(map(items.holds, b))))


def _amount(
    rng: random.Random, phrase: Phrase, number: int, *, allow_no: bool
) -> tuple[str, Callable[[int], bool]]:
    """Say an amount of something, and return the test that the amount found has to pass."""
    kind = rng.random()
    if kind < 0.35:
        return f"a {phrase.one}", lambda found: found >= 1
    if kind < 0.4 and allow_no:
        return f"no {phrase.one}", lambda found: found == 0
    counted = f"{_number(rng, number)} {phrase.one if number == 1 else phrase.many}"
    if kind < 0.7:
        return f"{rng.choice((*COUNTED[:2], ''))}{counted}", lambda found: found == number
    if kind < 0.9:
        return f"at least {counted}", lambda found: found >= number
    return f"at most {counted}", lambda found: found <= number


def _number(rng: random.Random, number: int) -> str:
    return rng.choice((NUMBERS[number], str(number)))


def _colors(box: Box) -> list[str]:
    """Return the colors of a box's items; of a tower from the base up."""
    return [item.color for item in sorted(box, key=_height)]


def _height(item: Item) -> int:
    return -item.y


def _neighbors(box: Box) -> set[tuple[str, str]]:
    return set(pairwise(_colors(box)))
