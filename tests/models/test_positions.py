"""Learnt positions: what reaches beyond them is refused in words, not by an index out of range."""

import pytest
import torch
from generation.engines import wide_engine
from tiny import tiny_processor
from transformers import AutoConfig, AutoModelForCausalLM

from mmlite.generation import Decoding, Request
from mmlite.models import NewLanguageModel
from mmlite.models.positions import learnt_positions
from mmlite.records import Turn

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
OWN = {
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 24},
    "opt": {**SIZES, "ffn_dim": 32, "word_embed_proj_dim": 16, "max_position_embeddings": 24},
    "qwen3": {**SIZES, "num_key_value_heads": 1, "intermediate_size": 32},
}


@pytest.mark.parametrize(("kind", "learnt"), [("gpt2", 24), ("opt", 24), ("qwen3", None)])
def test_a_model_says_how_many_positions_it_has(kind: str, learnt: int | None):
    language = NewLanguageModel(30, kind, OWN[kind])
    assert language.learnt_positions == learnt
    language(torch.zeros(1, 24, 16), torch.ones(1, 24, dtype=torch.bool))
    if learnt is None:
        language(torch.zeros(1, 25, 16), torch.ones(1, 25, dtype=torch.bool))
        return
    with pytest.raises(ValueError, match=r"25 tokens in all.* 24 positions.*processor.max_tokens"):
        language(torch.zeros(1, 25, 16), torch.ones(1, 25, dtype=torch.bool))
    # Places count, not columns: of rows that are packed, and of those padded in front.
    places = torch.arange(30).remainder(20)[None]
    language(torch.zeros(1, 30, 16), None, places)
    with pytest.raises(ValueError, match="26 tokens in all"):
        language(torch.zeros(1, 30, 16), None, torch.arange(30).remainder(26)[None])


def test_tables_of_images_are_not_those_of_text():
    text = {**SIZES, "num_key_value_heads": 1, "intermediate_size": 32, "head_dim": 8}
    seen = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    seen |= {"intermediate_size": 32, "image_size": 16, "patch_size": 4}
    kind = AutoConfig.for_model("gemma3", text_config=text, vision_config=seen)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(kind)
    assert any("position_embedding" in name for name, _ in model.named_modules())
    assert learnt_positions(model) is None


def test_texts_that_may_reach_beyond_are_refused_before_any_is_written():
    processor = tiny_processor()
    engine = wide_engine(lambda words: NewLanguageModel(words, "gpt2", OWN["gpt2"]), processor)
    requests = [Request((Turn("user", "what is red ?"),)), Request((Turn("user", "red ?"),))]
    longest = max(len(processor.encode(r.turns, (), answer=True).input_ids) for r in requests)
    engine.generate(requests, Decoding(max_new_tokens=25 - longest))  # the last is not read again
    with pytest.raises(ValueError, match=rf"max_new_tokens: got .* a prompt of {longest} tokens"):
        engine.generate(requests, Decoding(max_new_tokens=26 - longest))
    assert engine.generate([], Decoding(max_new_tokens=100)) == []
