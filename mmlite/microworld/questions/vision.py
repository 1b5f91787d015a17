"""Vision-heavy kinds: the answer is mostly a matter of seeing."""

from collections.abc import Iterable, Sequence
from itertools import permutations

from mmlite.microworld.descriptions import Clause, look_up, sentence
from mmlite.microworld.questions.base import Args, Kind, unknown
from mmlite.microworld.scene import COLORS, DIGITS, PLACES, Object, Scene


def color_list(scene: Scene) -> str:
    """List every object by place and color, in reading order."""
    return " ".join(sentence(obj.place, obj.color) for obj in scene.objects)


def named(scene: Scene, shape: str) -> Object:
    """Return the object of a shape that the question says is there."""
    obj = scene.named(shape)
    assert obj is not None, f"questions only name objects of the scene; no {shape} in {scene}"
    return obj


def count_steps(color: str, clauses: Sequence[Clause]) -> tuple[list[str], int]:
    """Go through the clauses that state a color, with a running count of one color.

    The color that is counted is named beside each, so that a step needs only what is next to it.
    """
    steps, number = [], 0
    for clause in clauses:
        found = clause.values.get("color")
        if clause.anchor and found:
            number += found == color
            mark = "yes" if found == color else "no"
            steps.append(sentence(clause.anchor, found, color, mark, str(number)))
    return steps, number


class Count(Kind):
    """How many objects have a color."""

    name, group, task = "count", "vision", "number"
    answers = ("0", "1", "2", "3", "4")

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Any color, present or not."""
        numbers = ((color, str(scene.count(color))) for color in COLORS)
        return [((color,), number) for color, number in numbers if number in self.answers]

    def ask(self, args: Args) -> str:
        """Ask for a number."""
        return f"how many shapes are {args[0]}?"

    def extraction(self, args: Args, scene: Scene) -> str:
        """All places and colors."""
        return color_list(scene)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Check each object and count on."""
        steps, number = count_steps(args[0], clauses)
        return (steps, str(number)) if steps else ([unknown(args[0])], None)


class Lookup(Kind):
    """One attribute of the object that is named by another attribute."""

    key: str
    wanted: str

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Repeat what the description says of the object."""
        found = look_up(clauses, self.key, args[0], self.wanted)
        return ([sentence(args[0], found)], found) if found else ([unknown(args[0])], None)

    def extraction(self, args: Args, scene: Scene) -> str:
        """The one attribute."""
        obj = next(obj for obj in scene.objects if getattr(obj, self.key) == args[0])
        return sentence(args[0], getattr(obj, self.wanted))

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Every object that has the attribute."""
        return [
            ((getattr(obj, self.key),), getattr(obj, self.wanted))
            for obj in scene.objects
            if getattr(obj, self.wanted) is not None
        ]


class Attribute(Lookup):
    """The color of what is at a place."""

    name, group, task, answers = "attribute", "vision", "short_answer", COLORS
    key, wanted = "place", "color"

    def ask(self, args: Args) -> str:
        """Ask for a color."""
        return f"what color is at {args[0]}?"


class Locate(Lookup):
    """The place of a shape."""

    name, group, task, answers = "locate", "vision", "short_answer", PLACES
    key, wanted = "shape", "place"

    def ask(self, args: Args) -> str:
        """Ask for a place."""
        return f"where is the {args[0]}?"


class Digit(Lookup):
    """The digit on a shape."""

    name, group, task, answers = "digit", "vision", "number", DIGITS
    key, wanted = "shape", "digit"

    def ask(self, args: Args) -> str:
        """Ask for a digit."""
        return f"which digit is on the {args[0]}?"


def side_of(place: str, other: str) -> str | None:
    """Return on which side of `other` a place is; None unless they share a row or a column."""
    (row, column), (other_row, other_column) = (
        divmod(PLACES.index(name), 3) for name in (place, other)
    )
    if row == other_row and column != other_column:
        return "left" if column < other_column else "right"
    if column == other_column and row != other_row:
        return "above" if row < other_row else "below"
    return None


class Relation(Kind):
    """On which side of one shape another one is; the two share a row or a column."""

    name, group, task = "relation", "vision", "short_answer"
    answers = ("left", "right", "above", "below")

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Ordered pairs in one row or column."""
        pairs = (
            ((a.shape, b.shape), side_of(a.place, b.place))
            for a, b in permutations(scene.objects, 2)
        )
        return [(args, side) for args, side in pairs if side is not None]

    def ask(self, args: Args) -> str:
        """Ask for a side."""
        return f"on which side of the {args[1]} is the {args[0]}?"

    def extraction(self, args: Args, scene: Scene) -> str:
        """Both places."""
        return " ".join(sentence(shape, named(scene, shape).place) for shape in args)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Repeat both places, then compare them."""
        places = [look_up(clauses, "shape", shape, "place") for shape in args]
        steps = [
            sentence(shape, place) if place else unknown(shape)
            for shape, place in zip(args, places, strict=True)
        ]
        place, other = places
        return steps, side_of(place, other) if place and other else None


class Similar(Kind):
    """Which of two shapes shares more of size and color with a third: two-alternative choice."""

    name, group, task = "similar", "vision", "alternative"
    answers = ("first", "second")

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Ordered triples without a tie."""
        triples = (
            ((r.shape, a.shape, b.shape), _shared(r, a) - _shared(r, b))
            for r, a, b in permutations(scene.objects, 3)
        )
        return [(args, "first" if more > 0 else "second") for args, more in triples if more]

    def ask(self, args: Args) -> str:
        """Ask for one of two."""
        return f"is the {args[0]} more like the {args[1]} or the {args[2]}?"

    def extraction(self, args: Args, scene: Scene) -> str:
        """Size and color of all three."""
        objects = [named(scene, shape) for shape in args]
        return " ".join(sentence(obj.shape, obj.size, obj.color) for obj in objects)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Compare each of the two with the third, attribute by attribute."""
        size, color = (look_up(clauses, "shape", args[0], what) for what in ("size", "color"))
        if size is None or color is None:
            return [unknown(args[0])], None
        steps, scores = [], []
        for shape in args[1:]:
            its_size, its_color = (
                look_up(clauses, "shape", shape, what) for what in ("size", "color")
            )
            if its_size is None or its_color is None:
                return [*steps, unknown(shape)], None
            same_size, same_color = its_size == size, its_color == color
            score = int(same_size) + int(same_color)
            words = (size, its_size, _mark(same_size), color, its_color, _mark(same_color))
            steps.append(sentence(shape, *words, str(score)))
            scores.append(score)
        if scores[0] == scores[1]:
            return steps, None
        return steps, "first" if scores[0] > scores[1] else "second"


def _shared(one: Object, other: Object) -> int:
    return (one.size == other.size) + (one.color == other.color)


def _mark(same: bool) -> str:
    return "yes" if same else "no"
