"""Rows of any source become pairs of questions and answers, or say why they do not."""

from mmlite.records import Example, ImageRef, Turn
from mmlite.synthesis.rows import Pair, Rejected, SourceRow, pairs_of, read_row

IMAGE = (ImageRef(path="a.png"),)


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(
        Turn("assistant" if number % 2 else "user", text, trained=bool(number % 2))
        for number, text in enumerate(texts)
    )


def pairs(example: Example) -> list[tuple[str, tuple[str, ...]]]:
    return [(pair.question, pair.answers) for pair in pairs_of(example)]


def test_every_exchange_of_a_conversation_is_a_pair():
    said = turns("<image>\nHow many?", "Two.", "What color?", "Gray.")
    example = Example("0", (Turn("system", "Be kind."), *said), IMAGE, question="How many?")
    assert pairs(example) == [("How many?", ("Two.",)), ("What color?", ("Gray.",))]


def test_what_a_row_says_of_itself_counts_before_a_prompt_around_it():
    said = turns("<image>\nHow many?\nAnswer with a number.", "2")
    example = Example("0", said, IMAGE, question="How many?", answers=("2", "two"), info="cats")
    assert list(pairs_of(example)) == [Pair("How many?", ("2", "two"), "cats", "How many?")]


def test_options_stand_behind_the_question_but_are_not_asked_about():
    example = Example(
        "0", (), IMAGE, question="Which?", choices=("a hat", "a cup"), answers=("a cup",)
    )
    (pair,) = pairs_of(example)
    assert pair == Pair("Which?\nA. a hat\nB. a cup", ("a cup",), "", "Which?")


def test_nothing_asked_or_answered_is_no_pair():
    assert pairs(Example("0", turns("<image>", "A cat."), IMAGE)) == []
    assert pairs(Example("0", turns("What?", " "), IMAGE)) == []
    assert pairs(Example("0", (), IMAGE, caption="A cat.")) == []


def test_examples_of_a_row_share_its_images_and_equal_pairs_count_once():
    one = Example("0", (), IMAGE, question="A?", answers=("a",))
    row = (one, Example("1", (), IMAGE, question="B?", answers=("b",)), one)
    found = read_row([row], 0)
    assert isinstance(found, SourceRow)
    assert [pair.subject for pair in found.pairs] == ["A?", "B?"]
    assert (found.images, found.example.id) == (IMAGE, "0")


def kind(*row: Example) -> str:
    found = read_row([row], 0)
    assert isinstance(found, Rejected)
    return found.kind


def test_rows_that_cannot_be_asked_about_say_why():
    question = {"question": "A?", "answers": ("a",)}
    assert kind(Example("0", (), **question)) == "no_image"
    assert kind(Example("0", (), IMAGE, caption="A cat.")) == "no_question"
    assert kind(Example("0", (), IMAGE, question="A \ud83d?", answers=("a",))) == "malformed"
    assert kind(Example("0", (), IMAGE, choices=("one",), **question)) == "malformed"
