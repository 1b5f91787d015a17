"""Scenes by kind: the one place that tells the worlds apart by what their scenes look like.

A scene travels as a mapping; whoever scores facts, draws a gallery or reads the ground truth asks
here for its kind. A world of your own is one more `SceneKind`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlite import microworld, nlvr
from mmlite.microworld import FactScore
from mmlite.microworld.facts import Status
from mmlite.records import Example, Prediction

SceneJSON = Mapping[str, Any]


@dataclass(frozen=True)
class SceneKind:
    """What is known of the scenes of one world.

    Attributes:
        mark: Key that these scenes have, and no others.
        score: Takes a text, the gold text and the scene; counts facts.
        judge: Takes the same; returns each clause with its status, and those that were missed.
        describe: Takes the scene; writes every fact of it.
        write_official: Takes a file and one system's predictions on a split; writes them in the
            format of the world's official scorer. None where there is no such format.
    """

    mark: str
    score: Callable[[str, str, SceneJSON], FactScore]
    judge: Callable[[str, str, SceneJSON], list[tuple[str, Status]]]
    describe: Callable[[SceneJSON], str]
    write_official: Callable[[Path, Sequence[Prediction]], None] | None = None


def _micro(scene: SceneJSON) -> microworld.Scene:
    return microworld.Scene.from_json(scene)


def _boxes(scene: SceneJSON) -> nlvr.BoxScene:
    return nlvr.BoxScene.from_json(scene)


KINDS = (
    SceneKind(
        mark="objects",
        score=lambda text, gold, scene: microworld.score_facts(text, gold, _micro(scene)),
        judge=lambda text, gold, scene: microworld.judge_clauses(text, gold, _micro(scene)),
        describe=lambda scene: microworld.full_description(_micro(scene)),
    ),
    SceneKind(
        mark="boxes",
        score=lambda text, gold, scene: nlvr.score_items(text, gold, _boxes(scene)),
        judge=lambda text, gold, scene: nlvr.judge_items(text, gold, _boxes(scene)),
        describe=lambda scene: nlvr.describe(_boxes(scene)),
        write_official=lambda path, found: nlvr.write_official(path, nlvr.answers_of(list(found))),
    ),
)
"""The micro-world and NLVR."""


def kind_of(scene: SceneJSON | None) -> SceneKind | None:
    """Return the kind of a scene; None for no scene, or one of no known kind."""
    return next((kind for kind in KINDS if scene is not None and kind.mark in scene), None)


def count_facts(text: str, example: Example) -> Mapping[str, int] | None:
    """Count the facts a text states of an Example's scene, as the gold extraction needs them.

    Returns:
        Counts found, missed, invented and true; None where scene or extraction is not known.
    """
    kind = kind_of(example.scene)
    if kind is None or example.scene is None or example.extraction is None:
        return None
    return kind.score(text, example.extraction, example.scene).to_json()
