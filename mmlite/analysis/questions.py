"""Which questions are the same: one that is asked in several seeds is one question, not several.

A fixed test set asks every seed the same questions; the answers to one of them are then no more
independent than those to one cluster. The micro-world draws other pictures for every seed: there
ids come again, but no question does.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmlite.records import Prediction, content_key

Place = tuple[int, str]
"""Seed and id of a question."""

Pool = Mapping[int, Sequence[Prediction]]
"""One prediction for each question, by seed."""


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a study, and which of them depend on each other.

    Attributes:
        identities: Place of a question to its content key, which equal questions share.
        units: Place of a question to the name of what it cannot be drawn without: its cluster in
            all seeds that share a question of it, or the question itself.
        number: How many different questions there are.
    """

    identities: Mapping[Place, str]
    units: Mapping[Place, str]
    number: int

    @property
    def recur(self) -> bool:
        """Whether any question was asked in more than one seed."""
        return self.number < len(self.identities)

    def count(self, pool: Pool) -> dict[str, int]:
        """Return the number of different questions of a pool as `questions`.

        Empty where no question of the study recurs: then it is the number of answers.
        """
        if not self.recur:
            return {}
        places = ((seed, p.id) for seed, predictions in pool.items() for p in predictions)
        return {"questions": len({self.identities[place] for place in places})}

    def clusters(self, pool: Pool) -> dict[int, list[str]] | None:
        """Return for each seed the clusters of its predictions, in order.

        A question that recurs in the pool is a cluster of its answers. Clusters of two seeds have
        one name if they share a question, else two, whatever they are called.

        Returns:
            Names, empty for what stands alone; None if everything does.
        """
        seeds: dict[str, set[int]] = defaultdict(set)
        if len(pool) > 1 and self.recur:
            for seed, predictions in pool.items():
                for prediction in predictions:
                    seeds[self.units[seed, prediction.id]].add(seed)

        def name(seed: int, prediction: Prediction) -> str:
            unit = self.units[seed, prediction.id]
            if len(seeds.get(unit, ())) > 1:
                return unit
            return _in_seed(seed, prediction.cluster) if prediction.cluster else ""

        names = {seed: [name(seed, p) for p in pool[seed]] for seed in pool if pool[seed]}
        return names if any(any(of_seed) for of_seed in names.values()) else None


class QuestionFinder:
    """Tells equal questions by what was asked, while predictions are read.

    Equal are those with the same id, question, gold answers and scene. Of all predictions about a
    question the first with a scene counts; a system may not have kept it.
    """

    def __init__(self) -> None:
        self._identities: dict[Place, str] = {}
        self._clusters: dict[Place, str] = {}
        self._seen: set[Place] = set()

    def add(self, prediction: Prediction) -> None:
        """Take note of the question of a prediction."""
        place = prediction.seed, prediction.id
        if prediction.cluster:
            self._clusters.setdefault(place, prediction.cluster)
        if place in self._seen or (place in self._identities and prediction.scene is None):
            return
        asked = prediction.id, prediction.question, list(prediction.gold), prediction.scene
        self._identities[place] = content_key("question", *asked)
        if prediction.scene is not None:
            self._seen.add(place)

    def found(self) -> Questions:
        """Return the questions, clusters joined over seeds where they share one."""
        above: dict[str, str] = {}

        def top(name: str) -> str:
            while name in above:
                name = above[name]
            return name

        for place, identity in self._identities.items():
            if cluster := self._clusters.get(place):
                child, parent = top(identity), top(_in_seed(place[0], cluster))
                if child != parent:
                    above[child] = parent
        units = {place: top(identity) for place, identity in self._identities.items()}
        number = len(set(self._identities.values()))
        return Questions(dict(self._identities), units, number)


def _in_seed(seed: int, cluster: str) -> str:
    return f"{seed} {cluster}"
