"""The majority answer: counted on training data, by task."""

import pytest

from mmlite.records import Example
from mmlite.systems import BlindPerceiver, MajorityReasoner, TwoStage


def example(answer: str, task: str = "yes_no", number: int = 0) -> Example:
    return Example(str(number), (), task=task, question="is it?", answers=(answer,), source="made")


def test_the_commonest_training_answer_of_each_task() -> None:
    known = [example("true"), example("true"), example("false"), example("7", "number")]
    system = TwoStage(BlindPerceiver(), MajorityReasoner(known))
    asked = [example("false", number=1), example("true", number=2), example("7", "number", 3)]
    found = system.answer(asked)
    assert [prediction.parsed for prediction in found] == ["yes", "yes", "7"]
    assert [prediction.correct for prediction in found] == [False, True, True]
    assert {prediction.system for prediction in found} == {"blind_majority"}


def test_spellings_of_one_answer_are_counted_together() -> None:
    known = [example(answer, "number") for answer in ("7", "2", "seven", "2", "7.0")]
    assert MajorityReasoner(known).reason([example("7", "number")], [""]) == ["7"]


def test_an_unknown_task_is_refused() -> None:
    reasoner = MajorityReasoner([example("true")])
    with pytest.raises(ValueError, match=r"task number, allowed: tasks of its training"):
        reasoner.reason([example("7", "number")], [""])
