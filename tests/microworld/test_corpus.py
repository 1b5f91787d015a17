"""Text for pretraining: shares, determinism, and what a text leads to."""

import random
from collections import Counter
from functools import cache

import pytest

from mmlite.microworld import CorpusMix, Questions, TextItem, WorldConfig, text_item
from mmlite.microworld.corruption import corrupt
from mmlite.microworld.descriptions import read_clauses
from mmlite.microworld.knowledge import held_out

QUESTIONS = Questions()
NUMBER = 4000


@cache
def items() -> list[TextItem]:
    return [text_item(QUESTIONS, index, seed=1) for index in range(NUMBER)]


def share(of: list[TextItem], **wanted: str) -> float:
    return sum(all(getattr(i, k) == v for k, v in wanted.items()) for i in of) / len(of)


def test_shares_are_those_of_the_mix():
    language = [item for item in items() if item.kind in QUESTIONS.groups["language"]]
    other = [item for item in items() if item.kind not in QUESTIONS.groups["language"]]
    assert len(language) / NUMBER == pytest.approx(0.25, abs=0.02)
    assert share(language, kind="fact") == pytest.approx(0.6, abs=0.06)
    assert share(language, mode="think") == pytest.approx(0.5, abs=0.06)
    assert share(other, mode="look") == pytest.approx(0.2, abs=0.02)
    assert share(other, mode="answer") == pytest.approx(0.125, abs=0.02)
    assert share(other, mode="think") == pytest.approx(0.675, abs=0.025)
    kinds = Counter(item.kind for item in other)
    assert kinds["compare"] > 2 * kinds["digit"]


def test_prompts_end_in_the_mode_and_texts_in_the_answer():
    for item in items():
        assert item.prompt.endswith(f" {item.mode}.")
        if item.mode == "think":
            assert item.text.endswith(f"answer: {item.answer}")
        elif item.mode == "answer":
            assert item.text == item.answer
        else:
            assert item.text.endswith(".")


def test_language_items_come_with_and_without_a_description():
    prompts = [item.prompt for item in items() if item.kind == "fact"]
    starts = Counter(prompt.split()[0] for prompt in prompts)
    assert starts["what"] > 50
    assert starts["nothing."] > 50
    assert len(starts) > 5


def test_both_halves_of_the_facts_are_written_about():
    asked = (i.prompt.split("what does ")[1].split("?")[0] for i in items() if i.kind == "fact")
    halves = Counter(held_out(tuple(words.split())) for words in asked)
    assert min(halves.values()) > 0.4 * halves.total()


def test_incomplete_descriptions_say_unknown():
    thinking = [i for i in items() if i.mode == "think" and i.kind == "digit"]
    unknown = [i for i in thinking if "unknown." in i.text]
    assert 0.02 < len(unknown) / len(thinking) < 0.5


def test_an_item_depends_on_seed_and_index_alone():
    assert text_item(QUESTIONS, 7, seed=1) == items()[7]
    assert text_item(Questions(), 7, seed=1) == items()[7]
    assert text_item(QUESTIONS, 7, seed=2) != items()[7]


def test_kinds_that_a_scene_does_not_allow_get_another_scene():
    mix = CorpusMix(language=0, kinds={"largest": 1.0})
    drawn = [text_item(QUESTIONS, index, mix=mix) for index in range(100)]
    assert {item.kind for item in drawn} == {"largest"}


def test_kinds_that_no_scene_allows_are_refused():
    mix = CorpusMix(language=0, kinds={"digit": 1.0})
    with pytest.raises(ValueError, match=r"mix.kinds: got digit, none of which 500 scenes"):
        text_item(QUESTIONS, 0, mix=mix, config=WorldConfig(digit_fraction=0))


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"look": 1.5}, "mix.look: got 1.5, allowed: 0 to 1"),
        ({"look": 0.6, "direct": 0.6}, r"mix: got look \+ direct = 1.2 .*allowed: at most 1 each"),
        ({"gold": 0.9, "scene": 0.3}, "scene .*allowed: at most 1 each"),
        ({"kinds": {"count": -1.0}}, "mix.kinds: got .*allowed: weights of 0 or more, one above"),
        ({"kinds": {}}, "mix.kinds: got {}, allowed: weights of 0 or more, one above 0"),
    ],
)
def test_bad_mixes_are_refused(mix, message):
    with pytest.raises(ValueError, match=message):
        CorpusMix(**mix)


def test_corruption_makes_one_mistake():
    text = "circle 7. star 3. cross 5."
    rng = random.Random(0)
    lengths = Counter()
    for _ in range(300):
        wrong = corrupt(text, rng)
        assert wrong != text
        clauses = [clause.text for clause in read_clauses(wrong)]
        lengths[len(clauses)] += 1
        kept = sum(clause in ("circle 7", "star 3", "cross 5") for clause in clauses)
        assert kept >= 2
    assert set(lengths) == {2, 3, 4}
    assert min(lengths.values()) > 50


def test_corrupting_nothing_changes_nothing():
    rng = random.Random(0)
    assert {corrupt("nothing.", rng) for _ in range(20)} <= {"nothing.", "nothing. nothing."}
    assert corrupt("", rng) == ""
