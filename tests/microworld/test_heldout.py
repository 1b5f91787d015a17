"""Held-out questions: balance, splits, ceilings."""

from collections import Counter
from functools import cache

import pytest

from mmlite.microworld import (
    HeldOut,
    Knowledge,
    Question,
    Questions,
    WorldConfig,
    caption,
    draw_held_out,
    split_of,
    world_example,
)
from mmlite.microworld.knowledge import held_out
from mmlite.microworld.scene import scene_key
from mmlite.tasks import best_constant_guess

QUESTIONS = Questions()


@cache
def drawn() -> HeldOut:
    return draw_held_out(QUESTIONS, "validation", 60, seed=3)


def asked(kind: str) -> list[Question]:
    return [question for _, question in drawn().items if question.kind == kind]


@pytest.mark.parametrize("kind", list(QUESTIONS.kinds))
def test_each_answer_is_drawn_equally_often(kind):
    counts = Counter(question.answer for question in asked(kind))
    assert counts.total() == 60
    assert max(counts.values()) - min(counts.values()) <= 1
    left_out = drawn().unreachable.get(kind, ())
    expected = set(QUESTIONS.kinds[kind].answers) - set(left_out)
    assert set(counts) == expected


def test_only_sums_of_the_other_half_are_out_of_reach():
    kept = {
        str(int(a) + int(b) if op == "plus" else int(a) - int(b))
        for a, op, b in QUESTIONS.knowledge.sums
        if held_out((a, op, b))
    }
    missing = {str(number) for number in range(19)} - kept
    assert {kind: set(left) for kind, left in drawn().unreachable.items()} == (
        {"arithmetic": missing} if missing else {}
    )


def test_scenes_are_of_the_split_and_no_question_repeats():
    items = drawn().items
    assert {split_of(picture.scene) for picture, _ in items} == {"validation"}
    keys = {(scene_key(p.scene), q.kind, q.args) for p, q in items}
    assert len(keys) == len(items)
    test = draw_held_out(QUESTIONS, "test", 20, seed=3)
    here = {scene_key(p.scene) for p, _ in items}
    assert here.isdisjoint(scene_key(p.scene) for p, _ in test.items)


def test_language_questions_are_of_the_held_out_half():
    for kind in QUESTIONS.groups["language"]:
        assert all(held_out(question.args) for question in asked(kind))


def test_equal_seeds_draw_equal_questions():
    again = draw_held_out(QUESTIONS, "test", 12, seed=1)
    assert again == draw_held_out(QUESTIONS, "test", 12, seed=1)
    assert again != draw_held_out(QUESTIONS, "test", 12, seed=2)


def test_gold_extractions_suffice_and_captions_do_not():
    right: dict[tuple[str, str], list[bool]] = {}
    for picture, question in drawn().items:
        gold = QUESTIONS.extraction(question, picture.scene)
        for name, text in (("gold", gold), ("caption", caption(picture.scene))):
            answer = QUESTIONS.derive(question, text).answer
            right.setdefault((question.kind, name), []).append(answer == question.answer)
    for kind in QUESTIONS.kinds:
        assert all(right[kind, "gold"])
    for kind in ("digit", "sum", "largest", "hop", "count", "similar"):
        assert sum(right[kind, "caption"]) < 0.85 * 60


def test_a_world_without_digits_leaves_their_kinds_out_and_tells(monkeypatch):
    monkeypatch.setattr("mmlite.microworld.heldout.MAX_TRIES", 200)
    found = draw_held_out(QUESTIONS, "test", 10, config=WorldConfig(digit_fraction=0))
    kinds = Counter(question.kind for _, question in found.items)
    for kind in ("digit", "sum", "largest", "hop"):
        assert kind not in kinds
        assert set(found.unreachable[kind]) == set(QUESTIONS.kinds[kind].answers)
    assert kinds["relation"] == kinds["locate"] == 10


def test_an_answer_that_runs_out_is_left_out_as_a_whole(monkeypatch):
    monkeypatch.setattr("mmlite.microworld.heldout.MAX_TRIES", 300)
    config = WorldConfig(max_objects=2)
    found = draw_held_out(QUESTIONS, "test", 30, config=config)
    counts = Counter(q.answer for _, q in found.items if q.kind == "count")
    assert set(counts) == {"0", "1", "2"}
    assert set(found.unreachable["count"]) == {"3", "4"}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_few_beings_leave_values_out_at_once():
    found = draw_held_out(Questions(Knowledge(num_beings=4)), "test", 5)
    assert sum(q.kind == "fact" for _, q in found.items) == 5
    assert len(found.unreachable["fact"]) >= 32 - 16


def test_the_best_constant_guess_is_one_of_the_answers_drawn():
    examples = [
        world_example(picture, question, QUESTIONS, source="made", row=row)
        for row, (picture, question) in enumerate(drawn().items)
    ]
    guess = best_constant_guess(examples)
    assert guess["similar"] == 0.5
    assert guess["digit"] == pytest.approx(0.1)
