"""Batched decoding equals decoding one by one."""

import pytest
import torch
from generation.engines import stage_engine
from tiny import tiny_examples

from mmlite.generation import Decoding, Engine, Request


@pytest.fixture(scope="module")
def engine():
    return stage_engine()


def requests(number=9):
    return [Request(e.turns[:-1] + e.turns, e.images * 2) for e in tiny_examples(number)]


DECODINGS = [
    Decoding(max_new_tokens=12),
    Decoding(max_new_tokens=12, temperature=1.5, seed=7),
    Decoding(max_new_tokens=12, temperature=1.0, top_p=0.8, top_k=6, seed=1),
]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_a_batch_equals_one_by_one(engine, decoding):
    asked = requests()
    together = engine.generate(asked, decoding)
    alone = [engine.generate([request], decoding)[0] for request in asked]
    assert [g.token_ids for g in together] == [g.token_ids for g in alone]
    small = Engine(engine.model, engine.processor, max_batch_tokens=90)
    assert [g.token_ids for g in small.generate(asked, decoding)] == [g.token_ids for g in alone]


def test_greedy_equals_transformers(engine):
    asked = [Request(e.turns[:-1]) for e in tiny_examples(6) if not e.images]
    made = engine.generate(asked, Decoding(max_new_tokens=10))
    for request, mine in zip(asked, made, strict=True):
        row = engine.processor.encode(request.turns, answer=True)
        ids = torch.tensor([row.input_ids])
        whole = engine.model.language.model.generate(
            ids, max_new_tokens=10, do_sample=False, eos_token_id=engine.processor.end_ids[0]
        )
        written = [t for t in whole[0, ids.shape[1] :].tolist() if t != engine.processor.end_ids[0]]
        assert list(mine.token_ids) == written


def test_seeds_decide_samples(engine):
    texts = [
        [g.text for g in engine.generate(requests(), Decoding(8, temperature=2.0, seed=seed))]
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_logits_processor_can_ban_a_token(engine):
    asked = requests(3)
    decoding = Decoding(max_new_tokens=6)
    banned = engine.generate(asked, decoding)[0].token_ids[0]

    def ban(written, logits):
        logits = logits.clone()
        logits[:, banned] = -torch.inf
        return logits

    made = engine.generate(asked, decoding, processors=[ban])
    assert all(banned not in g.token_ids for g in made)


def test_equal_requests_are_decoded_once(engine):
    counts = []
    asked = requests(2) * 3
    engine.generate(asked, Decoding(4), progress=counts.append)
    assert sum(counts) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: got 0, allowed: 1 or more"),
        ({"temperature": -1.0}, "temperature: got -1.0, allowed: 0, or 0.001 or more"),
        ({"temperature": 1e-45}, "temperature: got 1e-45, allowed: 0, or 0.001"),
        ({"top_p": 0.0}, "top_p: got 0.0"),
        ({"top_k": -1}, "top_k: got -1"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**arguments)
