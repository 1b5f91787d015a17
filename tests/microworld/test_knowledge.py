"""Knowledge: facts of the invented world and sums."""

from collections import Counter

import pytest

from mmlite.microworld.knowledge import THINGS, Knowledge, held_out, result_of


def test_every_being_has_one_fact_per_relation_and_values_are_balanced():
    knowledge = Knowledge(num_beings=80)
    assert len(set(knowledge.beings)) == 80
    assert len(knowledge.facts) == 80 * 4
    for relation, things in THINGS.items():
        values = Counter(v for (_, r), v in knowledge.facts.items() if r == relation)
        assert values == dict.fromkeys(things, 10)


def test_equal_worlds_are_equal_and_others_differ():
    assert Knowledge(50, 1).facts == Knowledge(50, 1).facts
    assert Knowledge(50, 1).facts != Knowledge(50, 2).facts


def test_sums_stay_within_their_range():
    results = {result_of(*args) for args in Knowledge().sums}
    assert results == {str(number) for number in range(19)}
    assert result_of("12", "minus", "5") == "7"


def test_about_half_of_the_facts_is_held_out():
    facts = list(Knowledge().facts)
    assert sum(map(held_out, facts)) / len(facts) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("number", [1, 865])
def test_number_of_beings_is_checked(number):
    with pytest.raises(ValueError, match=f"num_beings: got {number}, allowed: 2 to 864"):
        Knowledge(number)
