"""Rows of named columns: what becomes of each kind of row, and every refusal by its text."""

from pathlib import Path

import pytest
from tiny import png

from data_modules.sources import Columns
from data_modules.sources.conversations import read_turns
from mmlite.errors import RowError
from mmlite.records import ImageRef, Turn
from mmlite.tasks import get_task

TALK = [{"from": "human", "value": "how many?"}, {"from": "gpt", "value": "two"}]


def example(record, columns=Columns(), **more):  # noqa: B008
    return columns.example(record, row=4, source="here", **more)


def test_turns_and_images_of_a_row():
    found = example({"id": 7, "conversations": TALK, "image": {"bytes": b"x", "path": "a.png"}})
    assert found.turns == (
        Turn("user", "<image>\nhow many?"),
        Turn("assistant", "two", trained=True),
    )
    assert found.images == (ImageRef(data=b"x"),)
    assert (found.id, found.question, found.answers, found.task) == ("7", "how many?", ("two",), "")
    assert (found.source, found.row) == ("here", 4)


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "user", "content": "<image>hi"}, {"role": "assistant", "content": "yes"}],
        [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "yes"}]},
        ],
        [{"user": "<image>hi", "assistant": "yes", "source": "somewhere"}],
        [{"from": "human", "value": "<image>hi"}, {"from": "gpt", "value": "yes"}],
    ],
    ids=["chat", "parts", "pairs", "llava"],
)
def test_every_form_of_turns_is_read_alike(turns):
    assert read_turns(turns) == [Turn("user", "<image>hi"), Turn("assistant", "yes", trained=True)]


@pytest.mark.parametrize(
    ("turns", "message", "problem"),
    [
        (7, "conversations: got 7, allowed: a list with at least two turns", "malformed"),
        ([{"from": "bot", "value": "x"}], r"\[0\]\.from: got 'bot', allowed: human", "malformed"),
        (
            [{"role": "user", "content": [{"type": "audio"}]}],
            "got no text beside",
            "malformed",
        ),
        ([{"text": "x"}], r"\[0\]: got \{'text': 'x'\}, allowed: an object with", "malformed"),
        (TALK[:1], "got turns of user, allowed: user and assistant in turn", "wrong_turns"),
        (
            [TALK[0], {"from": "gpt", "value": "see <image>"}],
            r"\[1\]: got <image> in what the assistant says",
            "wrong_placeholders",
        ),
        (
            [{"from": "human", "value": "<image><image>"}, TALK[1]],
            "got 2 <image> placeholders for 1 images",
            "wrong_placeholders",
        ),
    ],
)
def test_wrong_turns_are_refused_by_kind(turns, message, problem):
    with pytest.raises(RowError, match=message) as error:
        example({"conversations": turns, "image": png(0)})
    assert error.value.problem == problem


@pytest.mark.parametrize(
    ("answer", "choices"),
    [("a hat", ["a cup", "a hat"]), (1, ["a cup", "a hat"]), ("B", ["a cup", "a hat"])],
    ids=["text", "number", "letter"],
)
def test_a_choice_is_named_by_text_number_or_letter(answer, choices):
    found = example({"question": "What?", "answer": answer, "choices": choices})
    assert (found.answers, found.choices) == (("a hat",), ("a cup", "a hat"))
    assert (found.task, found.turns) == ("multiple_choice", ())


@pytest.mark.parametrize(
    ("answer", "gold"), [(0, "1"), (1, "2"), (3, "4"), ("1", "1"), ("D", "4"), ("0", "1")]
)
def test_a_whole_number_counts_options_also_where_they_are_numerals(answer, gold):
    row = {"question": "How many?", "answer": answer, "choices": ["1", "2", "3", "4"]}
    assert example(row).answers == (gold,)


@pytest.mark.parametrize("answer", [-1, 4])
def test_a_number_that_no_option_has_is_refused(answer):
    row = {"question": "How many?", "answer": answer, "choices": ["1", "2", "3", "4"]}
    with pytest.raises(RowError, match=rf"answers \(column answer\): got {answer}, allowed"):
        example(row)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("caption", ["a dog .", "a red dog ."]),
        ("question", {"en": "What?"}),
        ("question", ["What?"]),
        ("answers", [{"answer": "yes", "answer_id": 1}]),
        ("answers", ["yes", None]),
        ("answer", float("nan")),
        ("answer", True),
        ("choices", ["yes", None]),
        ("extraction", ["red"]),
        ("category", {}),
        ("id", [1]),
    ],
)
def test_what_is_no_text_is_never_made_into_one(field, value):
    row = {"question": "Is it?", "answer": "yes", field: value}
    with pytest.raises(RowError, match=rf"{field}.*: got .*, allowed: a text or a number") as error:
        example(row)
    assert error.value.problem == "malformed"


def test_numbers_are_texts_and_no_answer_is_an_empty_one():
    assert example({"question": 7, "answer": 3}).answers == ("3",)
    for nothing in (None, []):
        found = example({"question": "Is it?", "answers": nothing})
        with pytest.raises(RowError, match="got no answer") as error:
            get_task(found.task).gold(found)
        assert error.value.problem == "empty_answer"


def test_a_column_with_a_usual_name_can_be_left_alone():
    row = {"conversations": TALK, "text": ["a", "b"], "answers": [{}]}
    columns = Columns(caption="", answers="")
    columns.check(list(row), "here")
    assert (example(row, columns).caption, example(row, columns).answers) == (None, ("two",))


def test_an_option_that_is_missing_between_others_is_refused():
    columns = Columns(choices=["A", "B", "C"])
    with pytest.raises(RowError, match=r"choices \(column A, B, C\): got None, allowed: a text"):
        example({"question": "?", "A": "x", "B": None, "C": "z", "answer": "C"}, columns)


def test_options_may_have_a_column_each_and_images_too():
    columns = Columns(choices=["A", "B", "C"], images=["left", "right"], id="key", category="kind")
    record = {"question": "?", "A": "red", "B": "blue", "C": None, "answer": "A", "key": 3}
    found = example({**record, "left": b"l", "right": None, "kind": "color"}, columns)
    assert (found.choices, found.answers) == (("red", "blue"), ("red",))
    assert found.images == (ImageRef(data=b"l"),)
    assert (found.id, found.category, found.group) == ("3", "color", "here")


def test_several_answers_captions_and_tasks():
    found = example({"question": "Who?", "answers": ["Ann", "Anna"]})
    assert (found.answers, found.task) == (("Ann", "Anna"), "short_answer")
    found = example({"text": " a red hat ", "image": b"x"})
    assert (found.caption, found.task, found.turns) == ("a red hat", "caption", ())
    assert example({"question": "Is it?", "answer": "yes"}, task="yes_no").task == "yes_no"
    found = example({"question": "Is it?", "extraction": "it is"})
    assert (found.extraction, found.id) == ("it is", "here-4")


def test_images_by_path_stay_under_their_root(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png(0))
    (tmp_path / "out.png").write_bytes(png(0))
    root = tmp_path / "in"
    row = {"question": "?", "images": ["a.png", {"path": "a.png", "bytes": None}]}
    found = example(row, image_root=root)
    assert found.images == (ImageRef(path=str((root / "a.png").resolve())),) * 2
    for image, message in [
        ("../out.png", "leads out of the image root"),
        ("b.png", "there is no file"),
        (3, "images: got int, allowed: bytes, a path, or a list"),
        ({"path": None, "bytes": None}, "neither bytes nor a path"),
    ]:
        with pytest.raises(ValueError, match=message):
            example({"question": "?", "image": image}, image_root=root)
    with pytest.raises(RowError, match=r"got the path 'a\.png', .* give image_root"):
        example({"question": "?", "image": "a.png"})


def test_a_row_of_nothing_is_refused():
    with pytest.raises(RowError, match="got neither turns, question nor caption"):
        example({"question": None, "image": b"x"})


def test_columns_that_are_not_there_are_refused_together():
    columns = Columns(question="ask", choices=["A", "F"])
    with pytest.raises(ValueError, match=r"columns\.question: got ask; columns\.choices: got F,"):
        columns.check(["A", "answer"], "here")
    with pytest.raises(ValueError, match="got columns a, b, none of which has a usual name"):
        Columns().check(["a", "b"], "here")
