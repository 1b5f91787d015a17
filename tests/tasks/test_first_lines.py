"""Answers that are the first line of several, and thoughts that never end."""

import pytest

from mmlite.records import Example
from mmlite.tasks import get_task

ROWS = {
    "multiple_choice": ("blue", ("red", "blue", "green", "white")),
    "yes_no": ("yes", ()),
    "number": ("5", ()),
    "alternative": ("second", ("circle", "cross")),
    "short_answer": ("blue", ()),
    "box": ("[0.1, 0.1, 0.5, 0.5]", ()),
}


def parse(name: str, text: str) -> str | None:
    answer, choices = ROWS[name]
    return get_task(name).parse(text, Example("q7", (), answers=(answer,), choices=choices))


@pytest.mark.parametrize(
    ("name", "text", "parsed"),
    [
        ("multiple_choice", "B\n\nThe image shows a circle.", "B"),
        ("multiple_choice", "**(b)**\nA dog stands there. Option B it is.", "B"),
        ("multiple_choice", "Blue\n\nThe sky is like that.", "B"),
        ("multiple_choice", "B\n\n(A) is wrong, since it is not red.", "B"),
        ("multiple_choice", "\u201cB\u201d.\n\nThe image shows a circle.", "B"),
        ("yes_no", "Yes\n\nThere is a red circle.", "yes"),
        ("yes_no", "No.\nThere are no circles.\nAll are stars.", "no"),
        ("number", "Five\n\nThere are 3 red shapes and 2 blue ones.", "5"),
        ("number", "5\n\nI count 5 shapes.", "5"),
        ("alternative", "Second\n\nThe star has more corners.", "second"),
    ],
)
def test_a_first_line_that_is_an_answer_counts(name: str, text: str, parsed: str) -> None:
    assert parse(name, text) == parsed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("multiple_choice", "B\n\nThe image shows a circle, so it must be (A)."),
        ("multiple_choice", "B\n\nOn a second look C fits better."),
        ("multiple_choice", "A. red\nB. blue\nC. green"),
        ("multiple_choice", "B\n\nIt is\nred."),
        ("yes_no", "Yes\n\nNo, there is none."),
        ("yes_no", "Yes\n\nThere is none. So it is false."),
        ("number", "5\n\nThere are 6 shapes."),
        ("alternative", "Second\n\nIt is the first."),
        ("multiple_choice", "I first look at option B.\n\nIt shows a circle."),
        ("yes_no", "Yes, let me see.\n\nThere is a circle."),
        ("number", "5 shapes.\n\nI count once more."),
    ],
)
def test_a_first_line_that_is_none_or_has_another_after_it_is_unreadable(
    name: str, text: str
) -> None:
    assert parse(name, text) is None


@pytest.mark.parametrize("name", ROWS)
def test_a_marked_answer_counts_whatever_the_first_line_is(name: str) -> None:
    task, (answer, choices) = get_task(name), ROWS[name]
    example = Example("q7", (), answers=(answer,), choices=choices)
    for mark in ("Answer: {}", "Answer\uff1a{}", "<answer>{}</answer>", "Answer: \u2018{}\u2019."):
        assert task.judge("A\n\n" + mark.format(answer), example)[1] == 1.0


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("mark", ["{}", "Answer: {}", "\\boxed{{{}}}", "<answer>{}</answer>"])
def test_a_thought_that_never_ended_holds_no_answer(name: str, mark: str) -> None:
    stated = mark.format(ROWS[name][0])
    assert parse(name, f"<think>{stated}\n\nI look.\n{stated}") is None
    assert parse(name, f"<think>Hm.</think>Well. <think>\n{stated}") is None
