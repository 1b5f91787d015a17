"""The built-in tasks: prompt fields, gold answers, parse and score."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmlite.tasks
from mmlite.records import Example
from mmlite.tasks import (
    TASK_NAMES,
    Alternative,
    Box,
    Caption,
    Extraction,
    MultipleChoice,
    ShortAnswer,
    Task,
    YesNo,
    clause_f1,
    get_task,
    intersection_over_union,
    normalize_answer,
    token_f1,
)

DERIVATION = "top-left red red yes 1. center blue red no 1. answer: {}"
CUT_OFF = "top-left red red yes 1. center blue red no"


def row(*answers: str, **values) -> Example:
    return Example(id="q7", turns=(), answers=answers, source="made.json", row=3, **values)


ROWS = {
    "caption": row(caption="center red star."),
    "extraction": row(question="where is the star?", extraction="star center."),
    "multiple_choice": row("blue", choices=("red", "blue", "green", "white")),
    "short_answer": row("top-left", question="where is the star?"),
    "yes_no": row("yes"),
    "alternative": row("second", choices=("circle", "cross")),
    "number": row("2"),
    "box": row("[0.1, 0.1, 0.5, 0.5]"),
}


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(mmlite.tasks.__path__)])
def test_docstring_examples(module):
    assert doctest.testmod(importlib.import_module(f"mmlite.tasks.{module}")).failed == 0


@pytest.mark.parametrize("name", TASK_NAMES)
def test_what_a_stage_learns_to_write_scores_full(name):
    task, example = get_task(name), ROWS[name]
    parsed, score = task.judge(task.gold(example), example)
    assert parsed in task.golds(example)
    assert score == 1.0
    assert task.judge("", example) == (None, 0.0)


@pytest.mark.parametrize("name", ["short_answer", "yes_no", "alternative", "number", "box"])
def test_derivations_and_direct_answers(name):
    task, example = get_task(name), ROWS[name]
    gold = task.gold(example)
    texts = (gold, f"{gold}.", DERIVATION.format(gold), DERIVATION.format(gold) + ".")
    assert [task.judge(text, example)[1] for text in texts] == [1.0] * 4
    assert task.parse(CUT_OFF, example) is None


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_no_text_breaks_a_parser(text):
    for name, example in ROWS.items():
        task = get_task(name)
        parsed, score = task.judge(text, example)
        assert 0 <= score <= 1
        if parsed is not None and name not in ("caption", "extraction"):
            assert task.parse(f"Answer: {parsed}", example) == parsed


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("B", "B"),
        ("Answer: **B**", "B"),
        ("\\boxed{B}", "B"),
        ("The correct answer is B", "B"),
        ("I see.\nAnswer: b) blue", "B"),
        ("Answer: Blue", "B"),
        ("It is sky.\nblue", "B"),
        ("B. blue", "B"),
        ("B blue", "B"),
        ("D. blue", None),
        ("Based on the picture", None),
        ("Answer: Black", None),
        ("Answer: red or blue", None),
        ("Answer: F", None),
        ("Answer: not B", None),
        ("Answer: (A) is wrong", None),
    ],
)
def test_multiple_choice_reads_letters_and_options(text, parsed):
    assert MultipleChoice().parse(text, ROWS["multiple_choice"]) == parsed


def test_multiple_choice_fields_and_letters():
    example = row("Vitamin C", "iron", choices=("Iron.", "Vitamin A", "Vitamin C"), question="Q?")
    task = MultipleChoice()
    assert task.fields(example) == {
        "question": "Q?",
        "options": "A. Iron.\nB. Vitamin A\nC. Vitamin C",
        "options_line": "a Iron. b Vitamin A. c Vitamin C.",
    }
    assert task.golds(example) == ("A", "C")
    assert task.judge("Answer: Vitamin C", example) == ("C", 1.0)
    assert task.judge("Answer: B. Vitamin A", example) == ("B", 0.0)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The red circle.", "red circle"),
        ("  Red\tCircle!", "red circle"),
        ('"An apple"', "apple"),
        ("three", "3"),
        ("Twenty-one cats", "21 cats"),
        ("forty two", "42"),
        ("someone", "someone"),
        ("one-way", "one-way"),
        ("top-left", "top-left"),
        ("A", "a"),
        ("the", "the"),
    ],
)
def test_normalized_answers(text, normal):
    assert normalize_answer(text) == normal
    assert normalize_answer(normal) == normal


def test_short_answer_takes_any_gold_answer():
    example = row("Two", "a pair")
    assert ShortAnswer().gold(example) == "Two"
    assert ShortAnswer().judge("Answer: 2", example) == ("2", 1.0)
    assert ShortAnswer().judge("the pair", example) == ("pair", 1.0)
    assert ShortAnswer().judge("Answer: two pairs", example) == ("2 pairs", 0.0)
    assert ShortAnswer().judge("Answer: ...", example) == (None, 0.0)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("TRUE", "yes"),
        ("False.", "no"),
        ("No, there is none", "no"),
        ("No. There is none.", "no"),
        ("The statement is true.", "yes"),
        ("The statement is not true.", "no"),
        ("Answer: it isn't false", "yes"),
        ("Answer: yes it is", "yes"),
        ("Answer: yes or no", None),
        ("Nothing is red", None),
        ("There are no circles", None),
        ("Yesterday", None),
        ("Answer: nobody", None),
        ("No circle is red", None),
        ("No, it cannot be true", "no"),
        ("Answer: yes, no circle is red", "yes"),
        ("The statement that there is no red box is true", "yes"),
        ("Answer: no it is not", "no"),
        ("It isn\u2019t true", "no"),
        ("not yes", None),
        ("Answer: not yes", None),
        ("I would not say yes", None),
        ("I don't think it is true", None),
        ("It is wrong to say yes", None),
        ("yes/no", None),
        ("Answer: yes/no/maybe", None),
        ("Yes and no", None),
        ("yes no", None),
        ("No. Or yes", None),
        ("either yes or no", None),
        ("Answer: yes or possibly no", None),
        ("neither yes nor no", None),
        ("Answer: true or not", None),
        ("I cannot tell whether it is true", None),
        ("Answer: no idea", None),
        ("Answer: No-one knows", None),
    ],
)
def test_yes_no(text, parsed):
    assert YesNo().parse(text, ROWS["yes_no"]) == parsed


def test_yes_no_learns_one_spelling():
    assert YesNo().gold(row("True")) == "yes"
    assert YesNo().judge("no", row("false")) == ("no", 1.0)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("first", "first"),
        ("Answer: the second one", "second"),
        ("The 2nd.", "second"),
        ("It is more like the first", "first"),
        ("A", "first"),
        ("(b)", "second"),
        ("option b", "second"),
        ("1", "first"),
        ("Image 2.", "second"),
        ("the cross", "second"),
        ("Answer: circle", "first"),
        ("First, I look at the circle", None),
        ("Answer: first or second", None),
        ("Answer: 3", None),
        ("both", None),
        ("Answer: not the first", None),
        ("It isn't the second", None),
        ("Answer: the first is wrong", None),
        ("Answer: the first, since the star is not red", "first"),
    ],
)
def test_alternative(text, parsed):
    assert Alternative().parse(text, ROWS["alternative"]) == parsed


def test_alternative_gold_in_any_spelling():
    assert [Alternative().gold(row(answer)) for answer in ("A", "(b)", "2", "First")] == [
        "first",
        "second",
        "second",
        "first",
    ]
    assert Alternative().gold(row("cross", choices=("circle", "cross"))) == "second"
    assert Alternative().parse("the cross", row("second")) is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", "[0.1, 0.2, 0.3, 0.4]"),
        ("Answer: (.1,.2,.3,1)", "[0.1, 0.2, 0.3, 1.0]"),
        ("0, 0, 1, 1", "[0.0, 0.0, 1.0, 1.0]"),
        ("The box is [0.1, 0.2, 0.3, 0.4].", "[0.1, 0.2, 0.3, 0.4]"),
        ("[0.1, 0.2, 0.3]", None),
        ("[10, 20, 30, 40]", None),
        ("[-0.1, 0.2, 0.3, 0.4]", None),
        ("[0.3, 0.2, 0.1, 0.4]", None),
        ("[0.1, 0.4, 0.3, 0.4]", None),
        ("upper left", None),
    ],
)
def test_box(text, parsed):
    assert Box().parse(text, ROWS["box"]) == parsed


def test_intersection_over_union():
    assert intersection_over_union((0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)) == pytest.approx(
        1 / 7
    )
    assert intersection_over_union((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)) == 0
    assert intersection_over_union((0.2, 0.2, 0.6, 0.6), (0.2, 0.2, 0.6, 0.6)) == 1


def test_box_is_right_from_half_overlap_with_any_gold_box():
    example = row("[0, 0, 1, 1]", "[0, 0, 0.1, 0.1]")
    task = Box()
    assert task.judge("[0, 0, 0.5, 1]", example)[1] == 1.0
    assert task.judge("[0, 0, 0.49, 1]", example)[1] == 0.0
    assert task.judge("[0, 0, 0.1, 0.1]", example)[1] == 1.0
    assert task.overlap("[0, 0, 0.25, 1]", example) == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"box: got 'left', allowed: \[x1, y1, x2, y2\]"):
        task.overlap("left", example)


def test_caption_and_extraction_scores():
    assert token_f1("Star red CENTER", "center red star.") == 1
    assert token_f1("red red", "red") == pytest.approx(2 / 3)
    assert token_f1("circle", "star") == 0
    assert token_f1("", "...") == 1
    assert clause_f1("b red. A 2.5 ; b  red", "a 2.5. b red.") == 1
    assert clause_f1("a red.", "a red. b blue.") == pytest.approx(2 / 3)
    assert clause_f1("red a.", "a red.") == 0
    assert Caption().fields(ROWS["caption"]) == {}
    assert Extraction().fields(ROWS["extraction"]) == {"question": "where is the star?"}
    assert Extraction().judge("nothing.", row(extraction="nothing.")) == ("nothing.", 1.0)


@pytest.mark.parametrize(
    ("name", "example", "message"),
    [
        ("caption", row(), "got no caption, allowed: a text for task caption"),
        ("extraction", row(), "got no extraction, allowed: a text for task extraction"),
        ("short_answer", row(), "got no answer, allowed: one or more for task short_answer"),
        ("number", row("red"), "got answer 'red', allowed: a number"),
        ("yes_no", row("maybe"), "got answer 'maybe', allowed: yes, true, no, false"),
        ("alternative", row("third"), "got answer 'third', allowed: first, 1st, a, 1"),
        ("box", row("[1, 2, 3, 4]"), r"got answer '\[1, 2, 3, 4\]', allowed: \[x1, y1, x2, y2\]"),
        (
            "multiple_choice",
            row("pink", choices=("red", "blue")),
            r"got answers \['pink'\], allowed: one of its choices \['red', 'blue'\]",
        ),
        ("multiple_choice", row("red"), "got 0 choices, allowed: 2 to 26"),
    ],
)
def test_bad_rows_are_named(name, example, message):
    with pytest.raises(ValueError, match=rf"made\.json row 3 \(q7\): {message}"):
        get_task(name).gold(example)


def test_unknown_task():
    with pytest.raises(ValueError, match="task: got 'vqa', allowed: caption, extraction, mult"):
        get_task("vqa")


def test_a_task_of_your_own():
    class Color(Task):
        name = "color"

        def parse(self, text, example):
            found = [word for word in text.split() if word in ("red", "blue")]
            return found[-1] if found else None

    task = Color()
    assert get_task(task) is task
    assert task.gold(row("red")) == "red"
    assert task.judge("it is red", row("red")) == ("red", 1.0)
    assert task.judge("it is blue", row("red")) == ("blue", 0.0)
    assert task.judge("?", row("red")) == (None, 0.0)


class Contains(Task):
    name = "contains"

    def parse(self, text, example):
        return text.strip() or None


def test_a_task_of_your_own_by_its_class_path(tmp_path, monkeypatch):
    assert isinstance(get_task(f"{__name__}.Contains"), Contains)
    for wrong in (f"{__name__}.row", f"{__name__}.Gone", "gone_module.Contains", "os.path"):
        with pytest.raises(ValueError, match="give its class path, such as my_module"):
            get_task(wrong, may_import=True)
    (tmp_path / "owntask.py").write_text(
        "from mmlite.tasks import YesNo\n\nclass Sure(YesNo):\n    name = 'sure'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"task: got 'owntask.Sure'"):
        get_task("owntask.Sure")  # as a row may name it, which imports nothing
    assert "owntask" not in sys.modules
    assert get_task("owntask.Sure", may_import=True).name == "sure"
    assert get_task("owntask.Sure").name == "sure"  # now that it is there
    monkeypatch.delitem(sys.modules, "owntask")


def test_names():
    assert set(TASK_NAMES) == set(ROWS)
    assert [get_task(name).name for name in TASK_NAMES] == list(TASK_NAMES)


def test_no_torch():
    code = "import sys, mmlite.tasks, mmlite.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
