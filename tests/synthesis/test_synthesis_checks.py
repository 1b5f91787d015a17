"""Leaks and other faults of texts are found, and nothing is found where nothing is."""

import doctest

import pytest

from mmlite.synthesis import checks
from mmlite.synthesis.checks import (
    comparable,
    holds_an_answer,
    joined_info,
    leak_of,
    num_statements,
    wrong_with,
)
from mmlite.synthesis.rows import Pair
from mmlite.synthesis.spec import Checks
from mmlite.systems import Written


def pair(question: str, *answers: str) -> Pair:
    return Pair(question, answers, subject=question)


def test_examples_in_docstrings_hold():
    assert doctest.testmod(checks).failed == 0


@pytest.mark.parametrize(
    ("info", "question", "answer", "kind"),
    [
        ("the color of the car", "What color is the car?", "red", None),
        ("the red color of the car", "What color is the car?", "Red.", "tells_answer"),
        ("the dog", "What animal is it?", "A dog", "tells_answer"),
        ("the vitamin", "Which one?", "the A", None),
        ("the reddish car", "What color is the car?", "red", None),
        ("what is in the box: a toy-train", "What is in it?", "toy train", "tells_answer"),
        ("the toy that is no train", "What is in it?", "toy train", None),
        ("whether there is a yes or a no", "Is it so?", "yes", None),
        ("the 42 bars", "How many?", "42", None),
        ("the 420 bars", "How many?", "420", "tells_answer"),
        ("the sizes of cat and dog", "Which is larger, the cat or the dog?", "dog", None),
        ("what color is the car", "What color is the car?", "red", "tells_question"),
        ("What color is the car", "What color is the car?\nAnswer in a word.", "red", "question"),
        ("what color", "What color?", "red", None),
        ("Strasse, stra\u00dfe", "Where?", "STRASSE", "tells_answer"),
        ("\u8eca\u306e\u8272", "\u4f55\u8272?", "\u8d64\u3044\u8272", None),
    ],
)
def test_leaks(info, question, answer, kind):
    found = leak_of(info, [pair(question, answer)], Checks())
    assert (found is None) if kind is None else (found is not None and kind in found[0])


def test_any_answer_of_any_question_is_a_leak_unless_a_question_names_it():
    pairs = [pair("What animal is it?", "dog", "hound"), pair("What is it doing?", "running")]
    assert leak_of("the animal, what the hound does", pairs, Checks()) == ("tells_answer", "hound")
    assert leak_of("the animal, the running", pairs, Checks()) == ("tells_answer", "running")
    named = [pairs[0], pair("What is the hound doing?", "running")]
    assert leak_of("the animal, what the hound does", named, Checks()) is None


def test_leaks_are_looked_for_as_asked():
    pairs = [pair("What color is it?", "red")]
    assert leak_of("the red thing", pairs, Checks(leaks=False)) is None
    assert leak_of("the red thing", pairs, Checks(min_answer_characters=4)) is None
    two = [pair("How many?", "2")]
    assert leak_of("the 2 cats", two, Checks(min_answer_characters=1)) == ("tells_answer", "2")


def test_comparable_answers():
    given = ("Yes", "no.", "42", "Two", "a b c d")
    assert comparable(given, Checks()) == [" two ", " b c d "]


def test_a_description_may_hold_an_answer():
    pairs = [pair("What color?", "gray"), pair("Is it?", "yes")]
    assert holds_an_answer("A Gray cat.", pairs, Checks()) is True
    assert holds_an_answer("A grayish cat.", pairs, Checks()) is False
    assert holds_an_answer("A cat.", pairs[1:], Checks()) is None


def test_infos_are_joined_once_each_in_order():
    infos = ["the hat.", "The  hat;", "", "the colors of a, b, c.", "the sky"]
    assert joined_info(infos) == "the hat, the colors of a, b, c, the sky"


@pytest.mark.parametrize(
    ("written", "text", "wrong"),
    [
        (Written("A cat."), "A cat.", None),
        (Written("A ca", finished=False), "A ca", "cut"),
        (Written("", finished=False), "", "cut"),
        (Written("<think>"), "", "empty"),
        (Written("An <image> of"), "An <image> of", "placeholder"),
    ],
)
def test_what_is_wrong_whatever_it_says(written, text, wrong):
    assert wrong_with(written, text) == wrong


def test_statements_are_lines():
    assert num_statements("One.\n\n  Two.\n") == 2
