"""Saved predictions, read and put in order: who answered what, by seed and question."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlite.analysis.questions import QuestionFinder, Questions
from mmlite.analysis.study import Study
from mmlite.records import Prediction

SYSTEMS: Mapping[str, str] = {
    "end_to_end": "End-to-end",
    "end_to_end_blind": "End-to-end, image withheld",
    "extract_think": "Extract+Think",
    "extract_answer": "Extract+Answer",
    "extract_symbolic": "Extract+Symbolic",
    "caption_think": "Caption+Think",
    "caption_answer": "Caption+Answer",
    "oracle_caption_think": "Gold caption+Think",
    "oracle_caption_answer": "Gold caption+Answer",
    "caption_symbolic": "Caption+Symbolic",
    "oracle_caption_symbolic": "Gold caption+Symbolic",
    "oracle_question_think": "Gold extraction+Think",
    "oracle_question_answer": "Gold extraction+Answer",
    "oracle_question_symbolic": "Gold extraction+Symbolic",
    "oracle_scene_think": "Whole scene+Think",
    "oracle_scene_symbolic": "Whole scene+Symbolic",
    "blind_think": "No description+Think",
    "blind_answer": "No description+Answer",
    "blind_symbolic": "No description+Symbolic",
    "blind_majority": "Majority answer",
}
"""Known systems in the order they are shown, with the names people read."""

FACTS = ("found", "missed", "invented", "true")
"""Counts of facts that a prediction may carry."""

_GROUPS = ("vision", "reasoning", "language")


class Key(NamedTuple):
    """One way of answering: a system with the sizes of its parts."""

    system: str
    perceiver: str
    perceiver_size: str
    reasoner: str
    reasoner_size: str


def system_label(system: str) -> str:
    """Return the name people read; a system we do not know keeps its own."""
    return SYSTEMS.get(system, system)


def group_label(group: str) -> str:
    """Return the name people read of a group of questions."""
    return f"{group}-heavy" if group in _GROUPS else group


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two systems on the questions that both answered.

    Attributes:
        answers: For each seed right or wrong of both, (question, 2), zeros and ones; no empty
            seeds.
        clusters: For each seed the cluster of each question; None if questions are independent.
        questions: The number of different questions, as `Questions.count` tells it.
    """

    answers: Mapping[int, np.ndarray]
    clusters: Mapping[int, list[str]] | None
    questions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Predictions in a fixed order, whatever the order of the files.

    Attributes:
        by_key: System and sizes, then seed, then question id, to the prediction.
        groups: Group to its kinds of questions, as far as anything was answered.
        sizes: Names of sizes, small to large.
        models: Names of published models, which stand where a size does, as the study lists them.
        seeds: Seeds, ascending.
        questions: What was asked, and what of it is the same.
    """

    by_key: Mapping[Key, Mapping[int, Mapping[str, Prediction]]]
    groups: Mapping[str, tuple[str, ...]]
    sizes: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    questions: Questions

    @property
    def systems(self) -> list[str]:
        """Names of the systems that answered, in the order they are shown."""
        return list(dict.fromkeys(key.system for key in self.by_key))

    @property
    def sizes_and_models(self) -> tuple[str, ...]:
        """All at which two systems can be compared: sizes, then published models."""
        return (*self.sizes, *self.models)

    def at_size(self, system: str, size: str) -> Key | None:
        """Return the system whose models are all of a size, or one published; None if not run."""
        for key in self.by_key:
            sizes = {key.perceiver_size, key.reasoner_size} - {""}
            if key.system == system and sizes == {size}:
                return key
        return None

    def find(self, system: str, perceiver_size: str, reasoner_size: str) -> Key | None:
        """Return a system with these sizes; None if it was not run."""
        for key in self.by_key:
            if (key.system, key.perceiver_size, key.reasoner_size) == (
                system,
                perceiver_size,
                reasoner_size,
            ):
                return key
        return None

    def sizes_of(self, system: str) -> list[str]:
        """Return the sizes, small to large, at which a system was run."""
        return [size for size in self.sizes if self.at_size(system, size)]

    def select(
        self, key: Key, *, group: str | None = None, category: str | None = None
    ) -> dict[int, list[Prediction]]:
        """Return the predictions of one system by seed, of one group or kind; no empty seeds."""
        chosen = {
            seed: [
                prediction
                for prediction in answers.values()
                if group in (None, prediction.group) and category in (None, prediction.category)
            ]
            for seed, answers in self.by_key[key].items()
        }
        return {seed: predictions for seed, predictions in chosen.items() if predictions}

    def paired(
        self,
        first: Key,
        second: Key,
        *,
        group: str | None = None,
        category: str | None = None,
        seeds: Collection[int] | None = None,
    ) -> Pairs:
        """Return the answers of two systems to the questions that both answered.

        Args:
            first: One system.
            second: Another.
            group: Group of questions; None for all.
            category: Kind of questions; None for all.
            seeds: Seeds that count; None for all.
        """
        answers, pool = {}, {}
        for seed, predictions in self.select(first, group=group, category=category).items():
            others = self.by_key[second].get(seed, {})
            both = [p for p in predictions if p.id in others]
            if both and (seeds is None or seed in seeds):
                pool[seed] = both
                right = [(p.correct, others[p.id].correct) for p in both]
                answers[seed] = np.array(right, dtype=np.int64)
        return Pairs(answers, self.questions.clusters(pool), self.questions.count(pool))


def load_predictions(folder: Path) -> Iterator[Prediction]:
    """Read `predictions/*.jsonl`, one by one: with their scenes they are large."""
    paths = sorted((folder / "predictions").glob("*.jsonl"))
    seen: dict[tuple[object, ...], str] = {}
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                prediction = _read_line(line, where=f"{path}, line {number}")
                identity = (prediction.id, prediction.seed, *key_of(prediction))
                if identity in seen:
                    raise ValueError(
                        f"{path}, line {number}: a second answer of {prediction.system} "
                        f"(sizes {prediction.perceiver_size!r}, {prediction.reasoner_size!r}) to "
                        f"{prediction.id!r} with seed {prediction.seed}, the first is at "
                        f"{seen[identity]}; allowed: one; remove the file that is left over"
                    )
                seen[identity] = f"{path.name}, line {number}"
                yield prediction
    if not seen:
        raise ValueError(
            f"{folder / 'predictions'}: no predictions; allowed: at least one line in a .jsonl "
            f"file; give the folder of a finished study, or run the study first"
        )


def _read_line(line: str, *, where: str) -> Prediction:
    try:
        prediction = Prediction.from_json(json.loads(line))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise ValueError(
            f"{where}: not a prediction ({type(error).__name__}: {error}); allowed: one JSON "
            f"object with the fields of Prediction; remove the file and run the study again"
        ) from error
    if not isinstance(prediction.correct, bool) or not isinstance(prediction.seed, int):
        raise ValueError(
            f"{where}: got correct={prediction.correct!r}, seed={prediction.seed!r}, allowed: "
            f"true or false, and a whole number; remove the file and run the study again"
        )
    facts = prediction.facts
    if facts is not None and not _are_counts(facts):
        raise ValueError(
            f"{where}: got facts={facts!r}, allowed: null, or whole numbers for "
            f"{', '.join(FACTS)}; remove the file and run the study again"
        )
    return prediction


def _are_counts(facts: object) -> bool:
    return isinstance(facts, dict) and all(isinstance(facts.get(name), int) for name in FACTS)


def key_of(prediction: Prediction) -> Key:
    """Return which way of answering a prediction is of."""
    return Key(
        prediction.system,
        prediction.perceiver,
        prediction.perceiver_size,
        prediction.reasoner,
        prediction.reasoner_size,
    )


def order_outcomes(predictions: Iterable[Prediction], study: Study) -> Outcomes:
    """Put predictions in their fixed order; sizes and groups as the study lists them.

    Scenes are dropped when they have told which questions are the same. Published models come after
    the sizes and are none: nothing is said of how they scale.
    """
    by_key: dict[Key, dict[int, dict[str, Prediction]]] = {}
    kinds: dict[str, set[str]] = {}
    finder, kept = QuestionFinder(), []
    for prediction in predictions:
        finder.add(prediction)
        kept.append(dataclasses.replace(prediction, scene=None))
    for prediction in sorted(kept, key=lambda p: (p.seed, p.id)):
        answers = by_key.setdefault(key_of(prediction), {}).setdefault(prediction.seed, {})
        answers[prediction.id] = prediction
        kinds.setdefault(prediction.group, set()).add(prediction.category)
    names = [size.name for size in study.sizes]
    used = {size for key in by_key for size in (key.perceiver_size, key.reasoner_size)} - {""}
    models = tuple(name for name in study.published if name in used - set(names))
    others = sorted(used - set(names) - set(models))
    sizes = (*(name for name in names if name in used), *others)
    groups = _in_order(kinds, (*study.groups, *_GROUPS))
    ranks = {size: rank for rank, size in enumerate(("", *sizes, *models))}
    known = {system: rank for rank, system in enumerate(SYSTEMS)}

    def rank(key: Key) -> tuple[object, ...]:
        return (
            known.get(key.system, len(known)),
            key.system,
            ranks[key.perceiver_size],
            ranks[key.reasoner_size],
            key,
        )

    return Outcomes(
        by_key={key: by_key[key] for key in sorted(by_key, key=rank)},
        groups={
            group: tuple(_in_order(kinds[group], study.groups.get(group, ()))) for group in groups
        },
        sizes=sizes,
        models=models,
        seeds=tuple(sorted({seed for seeds in by_key.values() for seed in seeds})),
        questions=finder.found(),
    )


def _in_order(names: Iterable[str], order: Iterable[str]) -> list[str]:
    left = set(names)
    listed = [name for name in dict.fromkeys(order) if name in left]
    return [*listed, *sorted(left - set(listed))]
