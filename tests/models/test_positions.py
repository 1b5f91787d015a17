"""Learnt positions: what reaches beyond them is refused in words, not by an index out of range."""

import pytest
import torch
from generation.engines import wide_engine
from tiny import tiny_processor

from mmlite.generation import Decoding, Request
from mmlite.models import NewLanguageModel
from mmlite.records import Turn

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
OWN = {
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 24},
    "opt": {**SIZES, "ffn_dim": 32, "word_embed_proj_dim": 16, "max_position_embeddings": 24},
    "qwen3": {**SIZES, "num_key_value_heads": 1, "intermediate_size": 32},
}


@pytest.mark.parametrize(("kind", "learnt"), [("gpt2", 24), ("opt", 24), ("qwen3", None)])
def test_a_model_says_how_many_positions_it_has_learnt(kind: str, learnt: int | None):
    language = NewLanguageModel(30, kind, OWN[kind])
    assert language.learnt_positions == learnt
    language(torch.zeros(1, 24, 16), torch.ones(1, 24, dtype=torch.bool))
    if learnt is None:
        language(torch.zeros(1, 25, 16), torch.ones(1, 25, dtype=torch.bool))
        return
    with pytest.raises(ValueError, match=r"longest row has 25 .* learnt 24 .* processor.max_tok"):
        language(torch.zeros(1, 25, 16), torch.ones(1, 25, dtype=torch.bool))


def test_texts_that_may_reach_beyond_are_refused_before_any_is_written():
    processor = tiny_processor()
    engine = wide_engine(lambda words: NewLanguageModel(words, "gpt2", OWN["gpt2"]), processor)
    requests = [Request((Turn("user", "what is red ?"),)), Request((Turn("user", "red ?"),))]
    longest = max(len(processor.encode(r.turns, (), answer=True).input_ids) for r in requests)
    engine.generate(requests, Decoding(max_new_tokens=24 - longest))
    with pytest.raises(ValueError, match=rf"prompt of {longest} tokens .* lower max_new_tokens"):
        engine.generate(requests, Decoding(max_new_tokens=25 - longest))
