"""The best constant guess, counted as tasks score it."""

import pytest

from mmlite.records import Example
from mmlite.tasks import best_constant_guess, get_task

OPTIONS = ("red", "blue", "green", "white")


def row(task: str, *answers: str, category: str = "asked", choices: tuple[str, ...] = ()):
    return Example(id="0", turns=(), task=task, category=category, answers=answers, choices=choices)


@pytest.mark.parametrize(
    ("task", "answers", "share"),
    [
        ("yes_no", ("yes", "true", "no", "false"), 0.5),
        ("number", ("2", "two", "2.0", "3"), 0.75),
        ("short_answer", ("The red circle", "red circle.", "star", "cross"), 0.5),
        ("alternative", ("first", "A", "1", "second"), 0.75),
    ],
)
def test_spellings_of_one_answer_are_one_answer(task, answers, share):
    assert best_constant_guess([row(task, answer) for answer in answers]) == {"asked": share}


def test_a_letter_is_a_constant_answer_whatever_stands_behind_it():
    rows = []
    for number in range(200):
        place = 0 if number < 73 else 1 + number % 3
        choices = tuple(f"thing {number} {part}" for part in range(4))
        rows.append(row("multiple_choice", choices[place], choices=choices))
    assert best_constant_guess(rows) == {"asked": 0.365}


def test_the_text_of_an_option_is_a_constant_answer_wherever_it_stands():
    rows = [
        row("multiple_choice", "Blue", choices=OPTIONS[part:] + OPTIONS[:part]) for part in range(4)
    ]
    assert best_constant_guess(rows) == {"asked": 1}
    assert [get_task("multiple_choice").judge("blue", row)[1] for row in rows] == [1] * 4


def test_an_answer_counts_wherever_it_is_one_of_several_right_ones():
    rows = [row("short_answer", "a", "b"), row("short_answer", "c", "b"), row("short_answer", "a")]
    assert best_constant_guess(rows) == {"asked": pytest.approx(2 / 3)}


def test_each_category_has_its_own():
    rows = [row("number", answer, category="a") for answer in "112"]
    rows += [row("yes_no", "yes", category="b")]
    assert best_constant_guess(rows) == {"a": pytest.approx(2 / 3), "b": 1}
    assert best_constant_guess([]) == {}


def test_captions_have_one_too():
    rows = [
        Example(id="0", turns=(), task="caption", category="told", caption=text)
        for text in ("a star.", "a star.", "a cross.")
    ]
    assert best_constant_guess(rows) == {"told": pytest.approx(2 / 3)}
