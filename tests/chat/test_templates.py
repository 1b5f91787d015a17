"""Chat templates: what is said, and which of it is learnt, as strings."""

from typing import Any

import pytest
from real_folders import QWEN3_TEMPLATE, qwen_tokenizer
from tiny import png

from mmlite.batch import IGNORE_INDEX
from mmlite.chat import TokenizerTemplate, plain, qwen_1_5
from mmlite.images import ImageTransform
from mmlite.processor import Processor
from mmlite.records import ImageRef, Turn

CONVERSATION = (
    Turn("system", "be kind"),
    Turn("user", "<image>\nwhat is it?"),
    Turn("assistant", "a cat", trained=True),
    Turn("user", "why?"),
    Turn("assistant", "it purrs", trained=True),
)


def processor(chat, template: str | None = QWEN3_TEMPLATE):
    tokenizer = qwen_tokenizer(template)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    image = ImageTransform(size_px=8)
    return Processor(tokenizer, chat=chat, image=image, tokens_per_tile=2, max_tokens=400)


def whole_and_learnt(made, turns, images=0, **how) -> tuple[str, list[str]]:
    row = made.encode(turns, [ImageRef(data=png(n)) for n in range(images)], **how)
    learnt: list[list[int]] = []
    after = False
    for label in row.labels:
        if label != IGNORE_INDEX:
            if not after:
                learnt.append([])
            learnt[-1].append(label)
        after = label != IGNORE_INDEX
    decode: Any = made.tokenizer.decode
    return decode(list(row.input_ids)), [decode(part) for part in learnt]


def test_the_papers_template_learns_answers_and_their_end_alone():
    whole, learnt = whole_and_learnt(processor(qwen_1_5()), CONVERSATION, 1)
    assert whole == (
        "<|im_start|>system\nbe kind<|im_end|>\n"
        "<|im_start|>user\n<image><image>\nwhat is it?<|im_end|>\n"
        "<|im_start|>assistant\na cat<|im_end|>\n"
        "<|im_start|>user\nwhy?<|im_end|>\n"
        "<|im_start|>assistant\nit purrs<|im_end|>\n"
    )
    assert learnt == ["a cat<|im_end|>", "it purrs<|im_end|>"]


def test_the_papers_template_adds_its_system_turn_and_asks():
    whole, learnt = whole_and_learnt(processor(qwen_1_5()), CONVERSATION[1:2], 1, answer=True)
    assert whole == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<image><image>\nwhat is it?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert learnt == []


def test_connector_pretraining_learns_the_caption_after_the_image():
    turns = (Turn("user", "<image>\nDescribe it."), Turn("assistant", "a cat", trained=True))
    whole, learnt = whole_and_learnt(processor(plain()), turns, 1)
    assert whole == "<image><image>a cat\n"
    assert learnt == ["a cat\n"]


@pytest.mark.parametrize("thinking", [False, True])
def test_the_tokenizers_template_learns_answers_and_their_end_alone(thinking):
    made = processor(TokenizerTemplate(thinking=thinking))
    whole, learnt = whole_and_learnt(made, CONVERSATION, 1)
    assert whole == (
        "<|im_start|>system\nbe kind<|im_end|>\n"
        "<|im_start|>user\n<image><image>\nwhat is it?<|im_end|>\n"
        "<|im_start|>assistant\na cat<|im_end|>\n"
        "<|im_start|>user\nwhy?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nit purrs<|im_end|>\n"
    )
    assert learnt == ["a cat<|im_end|>", "it purrs<|im_end|>"]


def test_thoughts_are_learnt_where_the_template_keeps_them():
    turns = (
        Turn("user", "what?"),
        Turn("assistant", "<think>\nhm\n</think>\n\na cat", trained=True),
        Turn("user", "why?"),
        Turn("assistant", "<think>\nso\n</think>\n\nit purrs", trained=True),
    )
    made = processor(TokenizerTemplate(thinking=True))
    whole, learnt = whole_and_learnt(made, turns)
    assert learnt == ["a cat<|im_end|>", "<think>\nso\n</think>\n\nit purrs<|im_end|>"]
    assert "hm" not in whole


@pytest.mark.parametrize(("thinking", "begin"), [(False, "<think>\n\n</think>\n\n"), (True, "")])
def test_an_answer_begins_as_the_template_says(thinking, begin):
    made = processor(TokenizerTemplate(thinking=thinking))
    whole, _ = whole_and_learnt(made, [Turn("user", "why?")], answer=True)
    asked = "<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\n"
    assert whole == asked + begin


def test_tokens_are_those_of_the_whole_text():
    made = processor(TokenizerTemplate())
    turns = [turn for turn in CONVERSATION if turn.role != "system"]
    messages = [{"role": t.role, "content": t.text.replace("<image>", "")} for t in turns]
    encoded: Any = made.tokenizer.apply_chat_template(messages, return_dict=True)
    texts = [Turn(t.role, t.text.replace("<image>", ""), t.trained) for t in turns]
    assert list(made.encode(texts).input_ids) == encoded["input_ids"]


def test_turns_that_are_not_trained_are_not_learnt():
    turns = [Turn(t.role, t.text, trained=t.text == "it purrs") for t in CONVERSATION]
    for chat in (qwen_1_5(), TokenizerTemplate()):
        _, learnt = whole_and_learnt(processor(chat), turns, 1)
        assert learnt == ["it purrs<|im_end|>"]


def test_models_stop_at_the_end_of_a_turn():
    end = qwen_tokenizer().convert_tokens_to_ids("<|im_end|>")
    for chat in (qwen_1_5(), TokenizerTemplate()):
        assert list(processor(chat).end_ids) == [end]


STRIPPING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + ': ' + m.content|trim + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant: ' }}{% endif %}"
)


def test_templates_that_strip_texts_are_followed():
    turns = (Turn("user", " why? \n"), Turn("assistant", "\n it purrs ", trained=True))
    whole, learnt = whole_and_learnt(processor(TokenizerTemplate(), STRIPPING), turns)
    assert whole == "<|im_start|>user: why?<|im_end|><|im_start|>assistant: it purrs<|im_end|>"
    assert learnt == ["it purrs<|im_end|>"]


def test_a_system_turn_can_be_part_of_the_users():
    folding = (
        "{% if messages[0].role == 'system' %}{% set said = messages[0].content + '; ' %}"
        "{% set messages = messages[1:] %}{% else %}{% set said = '' %}{% endif %}"
        "{% for m in messages %}{{ '<|im_start|>' + said * (loop.index0 == 0) + m.content + "
        "'<|im_end|>' }}{% endfor %}"
    )
    whole, learnt = whole_and_learnt(processor(TokenizerTemplate(), folding), CONVERSATION, 1)
    assert whole.startswith("<|im_start|>be kind; <image><image>\nwhat is it?<|im_end|>")
    assert learnt == ["a cat<|im_end|>", "it purrs<|im_end|>"]


BODY = "{% for m in messages %}{{ '<|im_start|>' + m.content + '<|im_end|>' }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (BODY.replace("m.content", "m.content|upper"), "changes what is said, so"),
        (BODY.replace("messages %}", "messages[1:] %}", 1), "changes what is said in a way"),
        (BODY.replace("'<|im_end|>'", "'; done'"), "ends a turn with '; done', which is no spec"),
    ],
)
def test_templates_that_cannot_be_split_are_refused(template, message):
    with pytest.raises(ValueError, match=f"processor.chat: the tokenizer's template {message}"):
        processor(TokenizerTemplate(), template)


def test_a_template_that_refuses_turns_names_them():
    refusing = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
        + BODY
    )
    made = processor(TokenizerTemplate(), refusing)
    with pytest.raises(ValueError, match=r"got turns of system, user.* refuses \(no system turns"):
        made.encode(CONVERSATION, [ImageRef(data=png(0))])


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(ValueError, match="but the tokenizer has none; allowed: mmlite"):
        processor(TokenizerTemplate(), None)


def test_a_default_system_turn_is_no_second_one():
    made = processor(TokenizerTemplate(default_system="be brief"))
    assert whole_and_learnt(made, CONVERSATION, 1)[0].count("system") == 1
    assert "system\nbe brief<" in whole_and_learnt(made, CONVERSATION[3:])[0]


def test_only_the_line_breaks_that_a_template_drops_are_dropped():
    turns = (
        Turn("user", " what is it? "),
        Turn("assistant", "\na cat ", trained=True),
    )
    whole, learnt = whole_and_learnt(processor(TokenizerTemplate()), turns)
    assert "<|im_start|>user\n what is it? <|im_end|>" in whole
    assert learnt == ["a cat <|im_end|>"]
