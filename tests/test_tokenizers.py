"""The word tokenizer: every text of the world goes in and comes back."""

import random

import pytest

from mmlite.microworld import (
    Knowledge,
    Questions,
    WorldConfig,
    caption,
    draw_scene_of,
    full_description,
    text_item,
)
from mmlite.microworld.vocabulary import words
from mmlite.tokenizers import SPECIAL, micro_tokenizer, nlvr_tokenizer, word_tokenizer

TOKENIZER = micro_tokenizer()


def assert_round_trip(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.unk_token_id not in ids
    assert TOKENIZER.decode(ids) == text


def test_all_text_items_come_back_without_unknown_words():
    questions = Questions()
    for index in range(3000):
        item = text_item(questions, index)
        assert_round_trip(item.prompt)
        assert_round_trip(item.text)


def test_every_question_extraction_and_description_comes_back():
    questions, rng = Questions(), random.Random(0)
    for _ in range(100):
        scene = draw_scene_of("test", rng, WorldConfig())
        assert_round_trip(full_description(scene))
        assert_round_trip(caption(scene))
        for kind in questions.kinds:
            question = questions.pick(kind, scene, rng, held_out_knowledge=True)
            if question is not None:
                assert_round_trip(questions.ask(question))
                assert_round_trip(questions.extraction(question, scene))


def test_every_fact_is_one_token_a_word():
    knowledge = Knowledge()
    for being, relation in knowledge.facts:
        assert len(TOKENIZER(f"what does {being} {relation}?")["input_ids"]) == 5


def test_special_tokens_come_first_and_are_split_off():
    ids = TOKENIZER("<user><image><image>what? look.<assistant>red<end>")["input_ids"]
    tokens = TOKENIZER.convert_ids_to_tokens(ids)
    assert tokens[:4] == ["<user>", "<image>", "<image>", "what"]
    assert tokens[-3:] == ["<assistant>", "red", "<end>"]
    assert TOKENIZER.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "what? look. red"


def test_roles_of_special_tokens():
    assert TOKENIZER.pad_token == "<pad>"
    assert TOKENIZER.unk_token == "<unk>"
    assert TOKENIZER.eos_token == "<end>"


def test_unknown_words_and_upper_case():
    ids = TOKENIZER("Red elephant.")["input_ids"]
    assert TOKENIZER.convert_ids_to_tokens(ids) == ["red", "<unk>", "."]


def test_equal_worlds_give_equal_bytes():
    text = TOKENIZER.backend_tokenizer.to_str()
    assert micro_tokenizer().backend_tokenizer.to_str() == text
    assert micro_tokenizer(seed=1).backend_tokenizer.to_str() != text
    assert micro_tokenizer(num_beings=50).vocab_size == TOKENIZER.vocab_size - 250


def test_long_texts_are_no_reason_to_warn(recwarn, caplog):
    assert len(TOKENIZER("red " * 5000)["input_ids"]) == 5000
    assert not recwarn.list
    assert not caplog.records


def test_saved_and_loaded_it_is_the_same(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = type(TOKENIZER).from_pretrained(tmp_path)
    text = "<user>top-left large red circle 7. answer: red<end>"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == TOKENIZER.decode(
        TOKENIZER(text)["input_ids"]
    )


def test_words_are_unique_and_do_not_depend_on_the_run():
    vocabulary = words(Knowledge())
    assert len(set(vocabulary)) == len(vocabulary)
    assert vocabulary[:5] == (".", ",", "?", ":", ";")
    assert not set(vocabulary) & set(SPECIAL)


def test_words_of_ones_own():
    tokenizer = word_tokenizer(["cat", "sat"])
    assert tokenizer.decode(tokenizer("cat sat cat")["input_ids"]) == "cat sat cat"
    with pytest.raises(ValueError, match=r"special: got .*, allowed: .*<pad>, <unk>, <end>"):
        word_tokenizer(["cat"], special=("<pad>",))


def test_the_nlvr_tokenizer_writes_descriptions_back_and_knows_its_unknowns() -> None:
    tokenizer = nlvr_tokenizer()
    text = "left tower blue blue yellow. right box top-left small blue circle touching left top."
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids
    assert tokenizer("There is a whoch")["input_ids"][-1] == tokenizer.unk_token_id
    assert tokenizer.get_vocab() == nlvr_tokenizer().get_vocab()
