"""Numbers: what is read as one, and what other words make another one."""

import pytest

from mmlite.records import Example
from mmlite.tasks import Number


def row(answer: str) -> Example:
    return Example(id="q7", turns=(), task="number", answers=(answer,))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("2", "2"),
        ("Two.", "2"),
        ("007", "7"),
        ("2.50", "2.5"),
        ("-0.0", "0"),
        ("1,000", "1000"),
        ("100", "100"),
        ("minus three", "-3"),
        ("Answer: 2 shapes", "2"),
        ("Answer: twenty-one", "21"),
        ("Answer: 5 plus 6 is 11", None),
        ("Answer: 5 + 6 = 11", "11"),
        ("Answer: between 2 and 3", None),
        ("Answer: many", None),
        ("5 plus 6 is 11", None),
        ("top-left red red yes 1", None),
        ("inf", None),
        ("1e5", None),
        ("3,4", None),
    ],
)
def test_number(text, parsed):
    assert Number().parse(text, row("2")) == parsed


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("\u22125", "-5"),
        ("Answer: \u22125", "-5"),
        ("Answer: minus five shapes", "-5"),
        ("Answer: It is minus 5", "-5"),
        ("negative 5", "-5"),
        ("Answer: Negative five shapes", "-5"),
        ("Answer: - 5", None),
        ("Answer: shapes\u20145", None),
        ("Answer: five shapes minus the red one", None),
        ("Answer: -\u22125 shapes", None),
    ],
)
def test_a_minus_is_never_lost(text, parsed):
    assert Number().parse(text, row("5")) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("one hundred", "2 million", "one half", "one and a half", "5 \u00bd", "one third", "5/5"),
        *("five point five", "\\frac{5}{5}", "5 squared", "5 000 005", "5:05", "5-pointed star"),
        *("5 plus 5", "10 = 5 + 5", "5 - 5", "5+", "5 or more", "more than 5", "at least 5"),
        *("x >= 5", "not 5", "It isn't 5", "I do not see 5 shapes", "no one", "the red one"),
        *("One cannot tell", "top-5"),
    ],
)
def test_a_number_that_other_words_make_another_one_is_unreadable(text):
    assert Number().parse(f"Answer: {text}", row("5")) is None
    assert Number().parse(text, row("5")) is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("There are no circles but 5 squares", "5"),
        ("5, not counting the star", "5"),
        ("5 - all red", "5"),
        ("5. There are 5 shapes", "5"),
        ("There is only one", "1"),
        ("One of the shapes", "1"),
        ("1,005 items", "1005"),
        ("5%", "5"),
        ("5 more", "5"),
    ],
)
def test_words_around_a_number_that_leave_it_what_it_is(text, parsed):
    assert Number().parse(f"Answer: {text}", row("5")) == parsed


def test_number_compares_values():
    assert Number().judge("Answer: 3.0", row("three")) == ("3", 1.0)
    assert Number().judge("Answer: 3.01", row("three")) == ("3.01", 0.0)
