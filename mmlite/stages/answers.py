"""Answers a stage writes while it is validated, for metrics and panels to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mmlite.generation import Decoding, Engine, Request
from mmlite.models import VisionLanguageModel
from mmlite.records import Example, Prediction
from mmlite.tasks import get_task


@dataclass(frozen=True, slots=True)
class Answered:
    """One Example answered by a model in training.

    Attributes:
        example: What was asked; its last turn is the gold answer.
        gold: Text the model should have written.
        output: Text the model wrote.
        parsed: Answer read from it; None when unreadable.
        score: From 0 to 1.
    """

    example: Example
    gold: str
    output: str
    parsed: str | None
    score: float


def why_none(model: nn.Module, decoding: Decoding | None, *, is_sharded: bool) -> str | None:
    """Say why a stage writes no answers, and measures the loss alone; None if it does write them.

    Args:
        model: Of the stage.
        decoding: Of the stage.
        is_sharded: Whether the model is sharded over processes.
    """
    if decoding is None:
        return "model.init_args.decoding: got null, allowed: how answers are written; give it"
    if is_sharded:
        return (
            "trainer.strategy: got a sharded model, which measures the loss alone, allowed: a "
            "strategy that keeps models whole; leave the sharding overlay out"
        )
    if not isinstance(model, VisionLanguageModel):
        return (
            f"model: got a {type(model).__name__}, which writes no text, allowed: a stage with a "
            "language model; validate or test this one"
        )
    return None


def check_tasks(examples: Sequence[Example]) -> None:
    """Stop at a row that would have no prediction.

    Raises:
        ValueError: If an example has no task.
    """
    for example in examples:
        if not example.task:
            raise ValueError(
                f"{example.row_name}: got no task, which says how answers are read and scored, "
                "allowed for predictions: rows that have one; give the source's `task`, such as "
                "short_answer"
            )


def answer(engine: Engine, examples: Sequence[Example], decoding: Decoding) -> list[Answered]:
    """Let a model write the last turn of each Example, and score it.

    Args:
        engine: Decodes.
        examples: Their last turn is an assistant's, and is withheld. Those without a task are
            not answered, since nothing scores the answer.
        decoding: How to decode.
    """
    asked = [example for example in examples if example.turns and example.task]
    requests = [Request(example.turns[:-1], example.images) for example in asked]
    answered = []
    for example, made in zip(asked, engine.generate(requests, decoding), strict=True):
        parsed, score = get_task(example.task).judge(made.text, example)
        answered.append(Answered(example, example.turns[-1].text, made.text, parsed, score))
    return answered


def prediction(answered: Answered, seed: int) -> Prediction:
    """Return an answer of an end-to-end model as the record that reports are made of.

    Args:
        answered: The answer.
        seed: That the command was given.
    """
    example = answered.example
    user = example.turns[-2].text if len(example.turns) > 1 else ""
    return Prediction(
        id=example.id,
        seed=seed,
        system="end_to_end",
        perceiver="end_to_end",
        perceiver_size="",
        reasoner="end_to_end",
        reasoner_size="",
        category=example.category,
        group=example.group,
        question=example.question or user,
        gold=get_task(example.task).golds(example),
        output=answered.output,
        parsed=answered.parsed,
        correct=answered.score == 1.0,
        scene=example.scene,
        cluster=example.cluster,
    )
