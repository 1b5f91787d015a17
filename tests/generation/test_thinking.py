"""Thinking budgets: each row has its own, thoughts end in time, answers are left alone."""

from dataclasses import replace

import pytest
import torch
from tiny import WORDS, tiny_language, tiny_tokenizer
from transformers import PreTrainedTokenizerBase

from mmlite.generation import Decoding, Engine, Request, Thinking
from mmlite.generation.reflexive import is_reflexive, reflexive_ids
from mmlite.generation.thinking import ThinkingBudget, opens_thought, thinking_processor
from mmlite.models import VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import Turn
from mmlite.tasks.reading import find_answer

THINKING = Thinking(max_tokens=10, end="</think>", before_end=". .", push_fraction=1.0)


def thinking_tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["</think>", "wait", "But", "waiter"])
    return tokenizer


@pytest.fixture
def engine() -> Engine:
    """A random model that ends its thoughts at various lengths, or not at all."""
    torch.manual_seed(0)
    processor = Processor(thinking_tokenizer())
    language = tiny_language(processor.vocabulary_size)
    model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    return Engine(model.eval(), processor)


def requests(number: int = 40) -> list[Request]:
    words = [
        [WORDS[(n * step + step) % len(WORDS)] for step in range(1, 3 + n % 9)]
        for n in range(number)
    ]
    return [Request((Turn("user", " ".join(row)),)) for row in words]


def end_of(engine: Engine) -> int:
    return id_of(engine.processor.tokenizer, "</think>")


def id_of(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found


def test_a_thought_that_the_prompt_opens_is_no_answer_until_it_ends():
    tokenizer = thinking_tokenizer()
    tokenizer.add_tokens(["<think>"])
    begun = tokenizer("what is ? <think>", add_special_tokens=False)["input_ids"]
    assert opens_thought(tokenizer, begun) == "<think>\n"
    closed = [*begun, *tokenizer("</think>", add_special_tokens=False)["input_ids"]]
    assert opens_thought(tokenizer, closed) == ""
    cut = opens_thought(tokenizer, begun) + "so maybe the answer is B"
    assert find_answer(cut) is None
    ended = find_answer(cut + "</think>Answer: C")
    assert ended is not None
    assert ended.text == "C"


SAMPLED = Decoding(max_new_tokens=24, temperature=1.5, seed=2, thinking=THINKING)


@pytest.mark.parametrize("decoding", [replace(SAMPLED, temperature=0.0), SAMPLED])
def test_every_thought_ends_within_its_own_budget(engine: Engine, decoding: Decoding):
    free = engine.generate(requests(), replace(decoding, thinking=None))
    made = engine.generate(requests(), decoding)
    end, dot = end_of(engine), id_of(engine.processor.tokenizer, ".")
    forced = early = 0
    for one, other in zip(made, free, strict=True):
        ids = list(one.token_ids)
        if end in other.token_ids[:7] or (other.finished and len(other.token_ids) < 7):
            assert one == other  # ended by itself in time: nothing was changed
            early += 1
        else:
            assert ids[:7] == list(other.token_ids[:7])
            assert ids[7:10] == [dot, dot, end]
            forced += 1
    assert forced > 3
    assert early > 0


def test_a_batch_equals_one_by_one(engine: Engine):
    made = engine.generate(requests(), SAMPLED)
    alone = [engine.generate([request], SAMPLED)[0] for request in requests()]
    assert made == alone


def test_the_end_is_pushed_near_the_budget_and_only_there():
    processor = thinking_processor(thinking_tokenizer(), replace(THINKING, push_fraction=0.5))
    tokenizer = thinking_tokenizer()
    end = tokenizer.convert_tokens_to_ids("</think>")
    logits = torch.zeros(3, len(tokenizer))
    logits[:, end] = torch.tensor([2.0, -2.0, 2.0])
    rows = [[6] * 6, [6] * 6, [6] * 5]
    pushed = processor(rows, logits)
    assert pushed[:, end].tolist() == pytest.approx([3.2, -0.8, 2.0])
    others = torch.arange(len(tokenizer)) != end
    assert torch.equal(pushed[:, others], logits[:, others])
    assert logits[0, end] == 2.0  # what was given is left as it is


def test_reflexive_words_are_blocked_in_thoughts_alone():
    tokenizer = thinking_tokenizer()
    names = ("wait", "But", "waiter", "</think>")
    wait, but, waiter, end = (id_of(tokenizer, name) for name in names)
    assert reflexive_ids(tokenizer) == sorted([wait, but])
    processor = thinking_processor(tokenizer, replace(THINKING, block_reflexive=True))
    made = processor([[6], [6, end, 7]], torch.zeros(2, len(tokenizer)))
    blocked = made == -torch.inf
    assert blocked[0].nonzero().flatten().tolist() == sorted([wait, but])
    assert not blocked[1].any()
    assert not blocked[0, waiter]


@pytest.mark.parametrize("text", [" wait", "Wait", ".but", "\tcheck", "(now", "HOWEVER", '"Oh'])
def test_keywords_with_spaces_and_marks_are_reflexive(text: str):
    assert is_reflexive(text)


@pytest.mark.parametrize(
    "text", ["waiter", " button", "know", "John", "waitFor", "", " ", "othermal"]
)
def test_words_that_only_contain_a_keyword_are_not(text: str):
    assert not is_reflexive(text)


def test_an_end_of_several_tokens_is_found_wherever_it_was_written():
    budget = ThinkingBudget(THINKING, end_ids=[6, 7], forced_ids=[6, 7])
    row = [7, 6]
    other = [6, 6, 7, 8]
    assert budget._ended([row, other]) == [False, True]
    row.append(7)  # across what was seen before
    assert budget._ended([other, row]) == [True, True]
    assert budget._ended([[6], row[:1]]) == [False, False]  # other rows of another batch


def test_wrong_budgets_are_refused():
    with pytest.raises(ValueError, match=r"thinking: max_tokens: got 0.*end: got an empty.*push"):
        Thinking(max_tokens=0, end="", push_fraction=2.0)
    with pytest.raises(
        ValueError, match=r"max_new_tokens: got 10, allowed: more than thinking.max"
    ):
        Decoding(max_new_tokens=10, thinking=THINKING)
    with pytest.raises(ValueError, match=r"thinking.end: got '</thought>', which the tokenizer"):
        thinking_processor(thinking_tokenizer(), replace(THINKING, end="</thought>"))
    with pytest.raises(ValueError, match=r"thinking.max_tokens: got 2, allowed: at least the 3"):
        thinking_processor(thinking_tokenizer(), replace(THINKING, max_tokens=2))


def test_a_budget_is_part_of_what_decides_a_text():
    assert "thinking" not in replace(SAMPLED, thinking=None).to_json()
    assert replace(SAMPLED, temperature=0.0).to_json() != Decoding(max_new_tokens=24).to_json()
    longer = replace(SAMPLED, thinking=replace(THINKING, max_tokens=11))
    assert longer.to_json() != SAMPLED.to_json()
