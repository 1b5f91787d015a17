"""Logits behind the head: what an architecture does to them, by measurement."""

import pytest
import torch
from torch import nn

from mmlite.generation.head import Head
from mmlite.losses import chunked_token_loss
from mmlite.models import NewLanguageModel
from mmlite.models.final_logits import FinalLogits, check_final_logits

VOCABULARY = 23
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
}
KINDS = {
    "qwen3": ({}, FinalLogits()),
    "gemma2": ({"final_logit_softcapping": 2.0, "head_dim": 8}, FinalLogits(cap=2.0)),
    "granite": ({"logits_scaling": 4.0}, FinalLogits(divisor=4.0)),
    "cohere": ({"logit_scale": 0.3}, FinalLogits(factor=0.3)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_samples_are_of_the_models_own_logits(kind):
    config, expected = KINDS[kind]
    torch.manual_seed(0)
    language = NewLanguageModel(VOCABULARY, kind, {**SIZES, **config}, "eager").eval()
    assert language.final_logits == expected
    ids = torch.randint(0, VOCABULARY, (2, 9))
    with torch.no_grad():
        told = language.model(ids, labels=ids)
        hidden = language(language.embed(ids), None)[:, :-1].flatten(0, 1)
        logits = language.logits(hidden)
        decoded = Head(language)(hidden)
    torch.testing.assert_close(logits, told.logits[:, :-1].flatten(0, 1))
    assert torch.equal(decoded, logits)
    head = {"head": language.logits, "parameters": list(language.head.parameters())}
    total, count = chunked_token_loss(hidden, ids[:, 1:].flatten(), **head, chunk_tokens=5)
    torch.testing.assert_close(total / count, told.loss)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 3e38])
def test_weights_that_are_not_loaded_yet_are_not_held_against_a_model(rubbish):
    model = NewLanguageModel(VOCABULARY, "qwen3", SIZES).model
    with torch.no_grad():
        dict(model.named_parameters())["lm_head.weight"][3] = rubbish
    check_final_logits(model)


def test_a_model_that_calls_a_part_of_its_body_is_measured_whole():
    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "num_attention_heads": 2}
    language = NewLanguageModel(VOCABULARY, "opt", {**sizes, "num_hidden_layers": 1})
    assert language.final_logits.is_plain
    assert language.model.training
    check_final_logits(language.model)
    assert language.model.training


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("bert", {}),  # layers between body and head
        ("electra", {"embedding_size": 8}),  # a head that is narrower than the body
    ],
)
def test_a_head_behind_other_layers_is_refused_by_name(kind, more):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = {**sizes, "intermediate_size": 32, "is_decoder": True, **more}
    with pytest.raises(ValueError, match=f"architecture {kind}, whose logits are not those of its"):
        NewLanguageModel(VOCABULARY, kind, config, "eager")


def test_an_architecture_that_does_something_else_is_refused():
    model = NewLanguageModel(VOCABULARY, "qwen3", SIZES).model

    class Squared(nn.Module):
        def forward(self, *args, **kwargs):
            output = usual(*args, **kwargs)
            output.logits = output.logits**2
            return output

    usual = model.forward
    model.forward = Squared().forward
    with pytest.raises(ValueError, match="architecture qwen3, whose logits are not those of its h"):
        check_final_logits(model)
