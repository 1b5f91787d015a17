"""Adapters: what learns, what stays, and that merging is W + alpha / rank * B A."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# Layers of the models built here are known to be there.

import copy

import pytest
import torch
from tiny import tiny_language, tiny_vision
from torch import nn

from mmlite.models.adapters import (
    Adapter,
    adapted_layers,
    adapter_weights,
    add_adapter,
    load_adapter_weights,
    merge_adapter,
)
from mmlite.models.quantization import Quantization, is_quantized, num_weights, unpacked

EXACT = Quantization(compute_dtype="float32")
ALL = 14  # two blocks of seven linear layers
KINDS = {
    "lora": None,
    "nf4 double": EXACT,
    "nf4": Quantization(double=False, compute_dtype="float32"),
    "fp4": Quantization(kind="fp4", compute_dtype="float32"),
    "stored as bfloat16": Quantization(compute_dtype="float32", storage_dtype="bfloat16"),
}


def logits(language):
    ids = torch.arange(12).reshape(2, 6)
    return language.logits(language(language.embed(ids), None).flatten(0, 1))


def learnt(language):
    """Updates that are no longer zero, as training leaves them."""
    for name, parameter in language.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return language


@pytest.fixture
def language():
    torch.manual_seed(0)
    return tiny_language(20)


def test_an_adapter_changes_nothing_at_first(language):
    before = logits(language)
    add_adapter(language, Adapter(rank=4))
    assert torch.equal(logits(language), before)


@pytest.mark.parametrize("quantize", KINDS.values(), ids=KINDS)
def test_only_updates_learn_and_are_float32(language, quantize):
    language.to(torch.bfloat16)
    add_adapter(language, Adapter(rank=4, quantize=quantize))
    learns = {n: p for n, p in language.named_parameters() if p.requires_grad}
    assert len(learns) == 2 * ALL
    assert {p.dtype for p in learns.values()} == {torch.float32}
    assert all(".lora_" in name for name in learns)
    logits(learnt(language)).float().sum().backward()
    assert all(p.grad.abs().sum() > 0 for n, p in learns.items() if "lora_A" in n)


def test_the_head_and_the_table_are_never_quantised(language):
    add_adapter(language, Adapter(rank=4, quantize=EXACT))
    packed = [name for name, layer in language.named_modules() if is_quantized(layer)]
    assert len(packed) == ALL
    assert not any("lm_head" in name or "embed" in name for name in packed)


def test_target_modules_choose_layers_by_their_last_name(language):
    add_adapter(language, Adapter(rank=4, target_modules=["q_proj", "v_proj"]))
    assert {name.rsplit(".", 1)[-1] for name in adapted_layers(language)} == {"q_proj", "v_proj"}
    assert len(adapted_layers(language)) == 4


def test_layers_without_updates_are_quantised_too_and_merged_back(language):
    add_adapter(language, Adapter(rank=4, target_modules=["q_proj"], quantize=EXACT))
    assert sum(is_quantized(layer) for layer in language.modules()) == ALL
    before = logits(learnt(language))
    merge_adapter(language, torch.float32)
    assert not any(is_quantized(layer) for layer in language.modules())
    torch.testing.assert_close(logits(language), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("quantize", KINDS.values(), ids=KINDS)
def test_merging_is_the_sum_of_weight_and_update(language, quantize):
    add_adapter(language, Adapter(rank=4, alpha=6.0, quantize=quantize))
    layer = learnt(language).model.model.layers[0].mlp.up_proj
    high, low = layer.lora_B["default"].weight, layer.lora_A["default"].weight
    expected = unpacked(layer.base_layer) + 6 / 4 * high @ low
    before = logits(language)
    merge_adapter(language, torch.float32)
    merged = language.model.model.layers[0].mlp.up_proj
    assert type(merged) is nn.Linear
    torch.testing.assert_close(merged.weight, expected)
    torch.testing.assert_close(logits(language), before, rtol=1e-4, atol=1e-5)


def test_storage_changes_no_value(language):
    other = copy.deepcopy(language)
    add_adapter(language, Adapter(quantize=EXACT))
    add_adapter(other, Adapter(quantize=KINDS["stored as bfloat16"]))
    assert torch.equal(logits(language), logits(other))
    kept = other.model.model.layers[0].mlp.up_proj.base_layer.weight
    assert kept.dtype == torch.bfloat16
    assert kept.numel() * 4 == num_weights(kept) == 16 * 32


def test_packed_weights_are_close_to_what_they_were(language):
    before = language.model.model.layers[0].mlp.up_proj.weight.detach().clone()
    add_adapter(language, Adapter(quantize=EXACT))
    found = unpacked(language.model.model.layers[0].mlp.up_proj.base_layer)
    assert 0 < (found - before).abs().mean() < 0.2 * before.abs().mean()


def test_weights_survive_the_way_through_a_file_of_peft(language):
    other = copy.deepcopy(language)
    add_adapter(language, Adapter(rank=4))
    add_adapter(other, Adapter(rank=4))
    weights = adapter_weights(learnt(language))
    assert "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight" in weights
    load_adapter_weights(other, weights)
    assert torch.equal(logits(other), logits(language))


def test_weights_of_another_form_are_refused(language):
    other = copy.deepcopy(language)
    add_adapter(language, Adapter(rank=4))
    add_adapter(other, Adapter(rank=8))
    with pytest.raises(ValueError, match=r"do not fit .*q_proj.* same rank and target_modules"):
        load_adapter_weights(other, adapter_weights(language))


def test_a_vision_encoder_gets_updates_on_its_linear_layers():
    vision = tiny_vision()
    pixels = torch.randn(1, 3, 16, 16)
    before = vision(pixels)
    add_adapter(vision, Adapter(rank=2, quantize=EXACT, target_modules=["qkv", "fc1"]))
    assert len(adapted_layers(vision)) == 2
    assert (learnt(vision)(pixels) - before).abs().max() > 0


def test_unknown_layers_are_named(language):
    with pytest.raises(ValueError, match=r"target_modules: got qproj, allowed: .*down_proj.*null"):
        add_adapter(language, Adapter(target_modules=["qproj"]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rank": 0}, "rank: got 0, allowed: 1 or more"),
        ({"alpha": 0.0}, "alpha: got 0.0, allowed: above 0"),
        ({"dropout": 1.0}, "dropout: got 1.0, allowed: 0 to below 1"),
        ({"target_modules": []}, "target_modules: got an empty list"),
    ],
)
def test_wrong_numbers_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Adapter(**given)
