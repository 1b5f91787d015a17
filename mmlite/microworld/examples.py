"""Examples of the micro-world: one record per picture and question."""

import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mmlite.microworld.descriptions import caption
from mmlite.microworld.questions import Question, Questions
from mmlite.microworld.render import Picture
from mmlite.records import Example, ImageRef


def world_example(
    picture: Picture, question: Question, questions: Questions, *, source: str, row: int
) -> Example:
    """Return the Example of a question about a picture, without turns."""
    kind = questions.kind(question.kind)
    image, told, scene = _shown(picture)
    return Example(
        id=f"{source}-{row}-{question.kind}-{'-'.join(question.args)}",
        turns=(),
        images=(image,),
        task=kind.task,
        question=questions.ask(question),
        category=kind.name,
        group=kind.group,
        answers=(question.answer,),
        extraction=questions.extraction(question, picture.scene),
        caption=told,
        scene=scene,
        source=source,
        row=row,
    )


def choice_example(
    picture: Picture,
    question: Question,
    questions: Questions,
    *,
    source: str,
    row: int,
    num_options: int = 4,
) -> Example:
    """Return the Example of a question as multiple choice; equal questions get equal options."""
    example = world_example(picture, question, questions, source=source, row=row)
    rng = random.Random(f"options {example.id} {picture.seed}")
    options = questions.kind(question.kind).options(question, num_options, rng)
    return replace(example, id=f"{example.id}-choice", task="multiple_choice", choices=options)


def caption_example(picture: Picture, *, source: str, row: int, text: str | None = None) -> Example:
    """Return the Example of a picture and its caption, without turns.

    Args:
        picture: What is seen.
        source: Name of the source.
        row: In it.
        text: Another caption than the usual one.
    """
    image, told, scene = _shown(picture)
    return Example(
        id=f"{source}-{row}-caption",
        turns=(),
        images=(image,),
        task="caption",
        category="caption",
        group="caption",
        caption=told if text is None else text,
        scene=scene,
        source=source,
        row=row,
    )


@lru_cache(maxsize=4)
def _shown(picture: Picture) -> tuple[ImageRef, str, dict[str, Any]]:
    """Return image, caption and scene of a picture; the questions of one row share them."""
    return ImageRef(scene=picture.to_json()), caption(picture.scene), picture.scene.to_json()
