"""What can only be learnt from text: facts of an invented world, and arithmetic.

Beings with invented names eat, fear, make and own things. Half of the facts and half of the sums
are never asked about while looking at a picture in training (`held_out`): the held-out questions
measure what a model still knows from text alone.
"""

import random
from dataclasses import dataclass, field
from functools import cached_property

from mmlite.records import content_key

SYLLABLES = ("da", "ko", "mi", "re", "zu", "bo", "li", "pa", "vu", "ne", "ti", "go")

THINGS = {
    "eat": ("moss", "seeds", "honey", "roots", "berries", "snow", "leaves", "bark"),
    "fear": ("wind", "fire", "thunder", "fog", "frost", "rain", "dust", "waves"),
    "make": ("rope", "bread", "glass", "paint", "soap", "wine", "cloth", "paper"),
    "own": ("boats", "goats", "drums", "lamps", "bells", "maps", "coins", "masks"),
}
"""For each relation, its possible values; each value is true of equally many beings."""


@dataclass(frozen=True)
class Knowledge:
    """The facts of the invented world and the sums of arithmetic.

    Attributes:
        num_beings: Number of beings; each has one fact for each of four relations.
        seed: Which invented world.
    """

    num_beings: int = 300
    seed: int = 0
    sums: tuple[tuple[str, str, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = len(SYLLABLES) ** 3 // 2
        if not 2 <= self.num_beings <= most:
            raise ValueError(f"num_beings: got {self.num_beings}, allowed: 2 to {most}")
        plus = [(str(a), "plus", str(b)) for a in range(10) for b in range(10)]
        minus = [(str(a), "minus", str(b)) for a in range(19) for b in range(10) if 0 <= a - b <= 9]
        object.__setattr__(self, "sums", tuple(plus + minus))

    @cached_property
    def beings(self) -> tuple[str, ...]:
        """Invented names, three syllables each."""
        rng = random.Random(f"beings {self.seed}")
        names: dict[str, None] = {}
        while len(names) < self.num_beings:
            names["".join(rng.choice(SYLLABLES) for _ in range(3))] = None
        return tuple(names)

    @cached_property
    def facts(self) -> dict[tuple[str, str], str]:
        """Value for each (being, relation)."""
        rng = random.Random(f"facts {self.seed}")
        facts = {}
        for relation, things in THINGS.items():
            values = [things[i % len(things)] for i in range(self.num_beings)]
            rng.shuffle(values)
            facts |= {
                (being, relation): value for being, value in zip(self.beings, values, strict=True)
            }
        return facts


def result_of(first: str, operator: str, second: str) -> str:
    """Return the result of one sum, such as `("7", "plus", "8")`."""
    one, other = int(first), int(second)
    return str(one + other if operator == "plus" else one - other)


def held_out(args: tuple[str, ...]) -> bool:
    """Whether a fact or a sum is kept for held-out questions: half of them are, by content."""
    return int(content_key(list(args))[:8], 16) % 2 == 1
