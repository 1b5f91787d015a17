"""Reasoning-heavy kinds: several details have to be put together."""

from collections.abc import Iterable, Sequence
from itertools import permutations

from mmlite.microworld.descriptions import Clause, look_up, sentence
from mmlite.microworld.questions.base import Args, Kind, unknown
from mmlite.microworld.questions.vision import color_list, count_steps, named
from mmlite.microworld.scene import COLORS, SHAPES, Scene


class Compare(Kind):
    """Whether one color has more objects than another."""

    name, group, task = "compare", "reasoning", "short_answer"
    answers = ("more", "fewer", "equal")

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Pairs of colors of which at least one is in the scene."""
        numbers = {color: scene.count(color) for color in COLORS}
        return [
            ((a, b), _more(numbers[a], numbers[b]))
            for a, b in permutations(COLORS, 2)
            if numbers[a] or numbers[b]
        ]

    def ask(self, args: Args) -> str:
        """Ask for more, fewer or equal."""
        return f"are {args[0]} shapes more, fewer or equal to {args[1]} shapes?"

    def extraction(self, args: Args, scene: Scene) -> str:
        """All places and colors."""
        return color_list(scene)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Go through the objects with two running counts; both colors are named beside each."""
        steps, numbers = [], {args[0]: 0, args[1]: 0}
        for clause in clauses:
            color = clause.values.get("color")
            if clause.anchor and color:
                numbers |= {color: numbers[color] + 1} if color in numbers else {}
                mark = {args[0]: "first", args[1]: "second"}.get(color, "neither")
                counts = (str(numbers[args[0]]), str(numbers[args[1]]))
                steps.append(sentence(clause.anchor, color, *args, mark, *counts))
        if not steps:
            return [unknown(args[0])], None
        return steps, _more(numbers[args[0]], numbers[args[1]])


def _more(one: int, other: int) -> str:
    return "more" if one > other else "fewer" if one < other else "equal"


class Sum(Kind):
    """The sum of the digits on two shapes."""

    name, group, task = "sum", "reasoning", "number"
    answers = tuple(str(number) for number in range(19))

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Ordered pairs that both carry a digit."""
        digits = [(obj.shape, int(obj.digit)) for obj in scene.objects if obj.digit]
        return [((a, b), str(m + n)) for (a, m), (b, n) in permutations(digits, 2)]

    def ask(self, args: Args) -> str:
        """Ask for a sum."""
        return f"add the digits on the {args[0]} and the {args[1]}."

    def extraction(self, args: Args, scene: Scene) -> str:
        """Both digits."""
        return " ".join(sentence(shape, named(scene, shape).digit) for shape in args)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Repeat both digits, then add."""
        one, other = (look_up(clauses, "shape", shape, "digit") for shape in args)
        steps = [
            sentence(shape, digit) if digit else unknown(shape)
            for shape, digit in zip(args, (one, other), strict=True)
        ]
        if one is None or other is None:
            return steps, None
        return [*steps, addition(one, other)], str(int(one) + int(other))


def addition(one: str, other: str) -> str:
    """Return the step that adds two numbers."""
    return f"{one} plus {other} is {int(one) + int(other)}."


class Largest(Kind):
    """The shape that carries the largest digit."""

    name, group, task, answers = "largest", "reasoning", "short_answer", SHAPES

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """One question, if at least two digits are there and one is largest."""
        digits = sorted((int(o.digit), o.shape) for o in scene.objects if o.digit)
        if len(digits) < 2 or digits[-1][0] == digits[-2][0]:
            return []
        return [((), digits[-1][1])]

    def ask(self, args: Args) -> str:
        """Ask for a shape."""
        return "which shape has the largest digit?"

    def extraction(self, args: Args, scene: Scene) -> str:
        """All digits, shapes in the order of their names' list."""
        digits = {obj.shape: obj.digit for obj in scene.objects if obj.digit}
        return " ".join(sentence(shape, digits[shape]) for shape in SHAPES if shape in digits)

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Go through the digits, and compare each with the best so far, named before it."""
        steps, best = [], ("", "")
        for clause in clauses:
            shape, digit = clause.values.get("shape"), clause.values.get("digit")
            if shape and digit:
                mark = "more" if digit >= best[1] else "fewer"
                against = ("best", *best, shape, digit, mark) if steps else (shape, digit)
                steps.append(sentence(*against))
                best = (shape, digit) if digit >= best[1] else best
        return (steps, best[0]) if steps else ([unknown("digit")], None)


class Hop(Kind):
    """The digit on a shape plus the number of objects of a color."""

    name, group, task = "hop", "reasoning", "number"
    answers = tuple(str(number) for number in range(1, 14))

    def candidates(self, scene: Scene) -> Iterable[tuple[Args, str]]:
        """Shapes with a digit, and colors of the scene."""
        pairs = (
            ((obj.shape, color), str(int(obj.digit) + number))
            for obj in scene.objects
            if obj.digit
            for color in COLORS
            if (number := scene.count(color))
        )
        return [(args, answer) for args, answer in pairs if answer in self.answers]

    def ask(self, args: Args) -> str:
        """Ask for a sum."""
        return f"add the digit on the {args[0]} and the number of {args[1]} shapes."

    def extraction(self, args: Args, scene: Scene) -> str:
        """The digit, then all places and colors."""
        return f"{sentence(args[0], named(scene, args[0]).digit)} {color_list(scene)}"

    def steps(self, args: Args, clauses: Sequence[Clause]) -> tuple[list[str], str | None]:
        """Repeat the digit, count the color, then add."""
        digit = look_up(clauses, "shape", args[0], "digit")
        counting, number = count_steps(args[1], clauses)
        if digit is None:
            return [unknown(args[0]), *counting], None
        total = str(int(digit) + number)
        return [sentence(args[0], digit), *counting, addition(digit, str(number))], total
