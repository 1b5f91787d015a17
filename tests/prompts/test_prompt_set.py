"""Prompt sets: the built-in texts, filling in fields, and files of one's own."""

import pytest

from mmlite.prompts import PROMPT_SET_NAMES, PromptSet, load_prompts
from mmlite.records import Example
from mmlite.tasks import TASK_NAMES, get_task

MICRO, PAPER = load_prompts("micro"), load_prompts("paper")
ROLE = (
    "You are an excellent text-based reasoning expert. You are required to answer the question "
    "based on the detailed description of the image.\n\n"
)
DESCRIBE = (
    "Describe the fine-grained content of the image, including scenes, objects, relationships, "
    "instance location, and any text present."
)
THINK = (
    "Please reason step by step, and give the final answer on the last line by itself in the "
    'format of "Answer:". Do not add anything other than {} after "Answer:".'
)


def prompt_set(**templates: str) -> PromptSet:
    return PromptSet(name="mine", source="mine", templates=templates)


def test_micro():
    assert MICRO.render("caption") == "describe."
    assert MICRO.render("extraction", question="where?") == "where? look."
    assert MICRO.render("answer", question="where?") == "where? answer."
    given = {"question": "where?", "description": "star center."}
    assert MICRO.render("reason_think", **given) == "star center. where? think."
    assert MICRO.render("reason_answer", **given) == "star center. where? answer."
    assert MICRO.render("text_extraction", **given) == "star center. where? look."


@pytest.mark.parametrize("description", ["", " ", "  "])
def test_no_double_space_around_an_empty_description(description):
    prompt = MICRO.render("reason_think", description=description, question="where?")
    assert prompt == "where? think."


def test_paper_perception():
    assert PAPER.render("caption") == DESCRIBE
    for info in ("the color of the snow", "the color of the snow."):
        assert PAPER.render("extraction", info=info) == (
            f"{DESCRIBE} Especially, pay attention to the color of the snow."
        )
    assert PAPER.render("question_info", question="Where?").endswith(
        "Contents to observe: the genetic information\nNow, perform the task, and format your "
        'answer as "Contents to observe:"\nQuestion: Where?'
    )


def test_paper_reasoning():
    expected = ROLE + "Description: A dog.\nQuestion: Where?\n" + THINK.format("the letter answer")
    for description in ("A dog.", "A dog.\n"):
        given = {"description": description, "question": "Where?"}
        assert PAPER.render("reason_think", **given) == expected
    assert PAPER.render("reason_answer", description="A dog.", question="Where?") == (
        ROLE + "Description: A dog.\nQuestion: Where?\nAnswer directly with the option's letter "
        'in the format of "Answer:". Do not add anything other than the letter answer after '
        '"Answer:".'
    )


@pytest.mark.parametrize("question", ["Question: Where?", "question: Where?", "Hint: look. Where?"])
def test_question_label_is_not_repeated(question):
    prompt = PAPER.render("reason_think", description="A dog.", question=question)
    assert f"Description: A dog.\n{question}\nPlease" in prompt


def test_paper_extraction_data():
    pair = PAPER.render("pair", number="1", question="What?", answer="A dog")
    assert pair == "Question #1: What?\nAnswer: A dog"
    one = PAPER.render("statements", pairs=pair)
    assert one.startswith(
        "Your task is to convert each question\u2013answer pair about an image into a concise, "
        "fully self-contained declarative statement. The resulting statements should be "
    )
    assert one.endswith(f"original question.\n{pair}\nDeclarative Statement(s):")
    many = PAPER.render("statements.many", pairs=pair, number="2")
    assert many == one.replace(
        "\nDeclarative",
        "\nAs there are 2 questions, you should respond with 2 statements. "
        "Include each statement on its own line\nDeclarative",
    )
    assert PAPER.render("grounded_description", statements="A dog sits.") == (
        "Your task is to describe the fine-grained content of the image, including scenes, "
        "objects, relationships, instance location, and any text present.\nAs part of your "
        "description, you should incorporate the following information about the image.\n"
        "A dog sits.\nDescription:"
    )


def test_options_of_multiple_choice():
    example = Example(id="0", turns=(), question="Which?", choices=("red", "blue"))
    fields = get_task("multiple_choice").fields(example)
    key = PAPER.task_key("reason_think", "multiple_choice")
    assert PAPER.render(key, description="A dog.", **fields) == (
        ROLE
        + "Description: A dog.\nQuestion: Which?\nOptions:\nA. red\nB. blue\n"
        + THINK.format("the letter answer")
    )
    assert PAPER.render(PAPER.answer_key("multiple_choice"), **fields) == (
        "Question: Which?\nOptions:\nA. red\nB. blue\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert MICRO.render(MICRO.answer_key("multiple_choice"), **fields) == (
        "Which? a red. b blue. answer."
    )


def test_task_keys_fall_back():
    assert MICRO.answer_key("number") == "answer"
    assert PAPER.answer_key("number") == "answer.number"
    assert PAPER.task_key("reason_think", "yes_no") == "reason_think.yes_no"
    assert MICRO.task_key("reason_think", "yes_no") == "reason_think"


@pytest.mark.parametrize("name", PROMPT_SET_NAMES)
@pytest.mark.parametrize("task", TASK_NAMES)
def test_every_task_has_its_prompts(name, task):
    prompts = load_prompts(name)
    assert prompts.source.strip()
    fields = {"description": "A dog.", "question": "Which?", "options": "o", "options_line": "o"}
    for key in ("answer", "reason_think", "reason_answer"):
        prompt = prompts.render(prompts.task_key(key, task), **fields)
        assert "Which?" in prompt
        assert "{" not in prompt
        letters = task in ("multiple_choice", "caption", "extraction")
        assert letters or "letter" not in prompt


def test_values_are_literal():
    prompts = prompt_set(a="{x} and {y}", b="braces {} {not a field} {x}")
    assert prompts.render("a", x="{y}", y="\\1 {x} %s {0}") == "{y} and \\1 {x} %s {0}"
    assert prompts.render("b", x="1", unused="2") == "braces {} {not a field} 1"
    assert prompts.fields("a") == ("x", "y")


def test_what_a_value_brings_is_not_repeated():
    prompts = prompt_set(a="{x}. {y}\n{z} end")
    assert prompts.render("a", x="one.", y="two\n", z="three ") == "one. two\nthree end"
    assert prompts.render("a", x="one", y="", z="") == "one. \nend"


@pytest.mark.parametrize("fields", [{"question": "where?"}, {"question": "where?", "info": None}])
def test_missing_field(fields):
    with pytest.raises(
        ValueError, match=r"prompts paper, extraction: missing info, given: question; give"
    ):
        PAPER.render("extraction", **fields)
    with pytest.raises(ValueError, match="missing info, given: nothing"):
        PAPER.render("extraction")


def test_unknown_key():
    with pytest.raises(ValueError, match=r"prompts micro: got key 'look', allowed: caption, extr"):
        MICRO.render("look")
    with pytest.raises(ValueError, match="got key 'look'"):
        MICRO.fields("look")


def test_own_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("source: me\nbase: micro\ntemplates: {extraction: 'see {question}'}\n")
    prompts = load_prompts(path)
    assert prompts == load_prompts(str(path))
    assert (prompts.name, prompts.source) == (str(path), "me")
    assert prompts.render("extraction", question="x") == "see x"
    assert prompts.render("caption") == "describe."


def test_unknown_set():
    with pytest.raises(ValueError, match="prompts: got 'mirco', allowed: micro, paper or the path"):
        load_prompts("mirco")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not readable as YAML"),
        ("- a", "got list, allowed: a mapping with source and templates"),
        ("templates: {a: b}", "source: got None, allowed: where the words come from"),
        ("source: me", "templates: got None, allowed: a mapping of keys to texts"),
        ("source: me\ntemplates: {a: 1}", "templates.a: got 1, allowed: a text"),
        ("source: me\ntemplates: {yes: b}", "templates.True: got 'b', allowed: a text under a"),
        ("source: me\ntemplates: {a: b}\nfoo: 1", "got key 'foo', allowed: source, base, templat"),
        ("source: me\ntemplates: {a: b}\nbase: x", "base: got 'x', allowed: micro, paper"),
        ("foo: 1", "got key 'foo'.*; source: got None.*; templates: got None"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"prompts .*bad\.yaml: {message}"):
        load_prompts(path)


def test_file_in_another_encoding(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"source: caf\xe9")
    with pytest.raises(ValueError, match=r"latin\.yaml: not readable as YAML in UTF-8"):
        load_prompts(path)
