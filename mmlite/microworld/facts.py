"""Facts: what a text says of a scene, judged against the scene.

Perception is scored here without any reasoner. The facts a question needs are those its gold
extraction states; written facts are found (needed and true), true (in the scene, needed or not)
or invented (not in the scene); needed facts that were not written are missed.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mmlite.microworld.descriptions import Clause, read_clauses
from mmlite.microworld.scene import Scene

Status = Literal["found", "true", "invented", "missed"]


class Fact(NamedTuple):
    """One attribute of one object, such as `Fact("circle", "digit", "7")`."""

    subject: str
    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class FactScore:
    """Counts of facts; sum them over questions before taking ratios.

    Attributes:
        found: Needed facts that were written.
        missed: Needed facts that were not written.
        invented: Written facts that are not in the scene.
        true: Written facts that are in the scene, needed or not.
    """

    found: int = 0
    missed: int = 0
    invented: int = 0
    true: int = 0

    def __add__(self, other: "FactScore") -> "FactScore":
        return FactScore(
            self.found + other.found,
            self.missed + other.missed,
            self.invented + other.invented,
            self.true + other.true,
        )

    @property
    def precision(self) -> float | None:
        """Share of written facts that are in the scene; None when nothing was written."""
        written = self.true + self.invented
        return self.true / written if written else None

    @property
    def recall(self) -> float | None:
        """Share of needed facts that were written; None when none was needed."""
        needed = self.found + self.missed
        return self.found / needed if needed else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None when no fact was needed.

        Whoever writes nothing where facts were needed has an F1 of 0.
        """
        precision, recall = self.precision or 0.0, self.recall
        return recall and 2 * precision * recall / (precision + recall)

    def to_json(self) -> dict[str, int]:
        """Return the four counts."""
        return {
            "found": self.found,
            "missed": self.missed,
            "invented": self.invented,
            "true": self.true,
        }


def scene_facts(scene: Scene) -> frozenset[Fact]:
    """Return every fact of a scene: color, size, place and, where there is one, digit."""
    facts = set()
    for obj in scene.objects:
        facts.add(Fact(obj.shape, "color", obj.color))
        facts.add(Fact(obj.shape, "size", obj.size))
        facts.add(Fact(obj.shape, "place", obj.place))
        if obj.digit is not None:
            facts.add(Fact(obj.shape, "digit", obj.digit))
    return frozenset(facts)


def clause_facts(clause: Clause, scene: Scene) -> frozenset[Fact]:
    """Return the facts a clause states, its object named by shape.

    A clause that names no shape is about the object at its place; one that names neither, or a
    place where nothing is, states facts of an object that does not exist.
    """
    values = dict(clause.values)
    subject = values.pop("shape", None)
    if subject is None:
        place = values.pop("place", None)
        obj = scene.at(place) if place else None
        subject = obj.shape if obj else f"nothing at {place or 'any place'}"
    return frozenset(Fact(subject, attribute, value) for attribute, value in values.items())


def text_facts(text: str, scene: Scene) -> frozenset[Fact]:
    """Return all facts a text states of a scene."""
    return frozenset(fact for clause in read_clauses(text) for fact in clause_facts(clause, scene))


def score_facts(text: str, gold: str, scene: Scene) -> FactScore:
    """Score what a text says of a scene.

    Args:
        text: What a perceiver wrote.
        gold: The gold extraction, which states the facts the question needs.
        scene: The ground truth.
    """
    written, needed, real = text_facts(text, scene), text_facts(gold, scene), scene_facts(scene)
    return FactScore(
        found=len(needed & written),
        missed=len(needed - written),
        invented=len(written - real),
        true=len(written & real),
    )


def judge_clauses(text: str, gold: str, scene: Scene) -> list[tuple[str, Status]]:
    """Judge each clause of a text, and append the gold clauses that were missed.

    A clause with any fact that is not in the scene is invented; one with a needed fact is found;
    any other is true.
    """
    needed, real = text_facts(gold, scene), scene_facts(scene)
    judged: list[tuple[str, Status]] = []
    for clause in read_clauses(text):
        facts = clause_facts(clause, scene)
        if facts - real:
            judged.append((clause.text, "invented"))
        else:
            judged.append((clause.text, "found" if facts & needed else "true"))
    written = text_facts(text, scene)
    for clause in read_clauses(gold):
        if clause_facts(clause, scene) - written:
            judged.append((clause.text, "missed"))
    return judged
