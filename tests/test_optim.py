"""Parameter groups by part and kind, and the learning rate over a run."""

import pytest
import torch
from tiny import tiny_stage, tiny_vision
from torch import nn
from torch.optim import SGD, AdamW

from mmlite.models import NewLanguageModel
from mmlite.optim import Schedule, build_optimizer, divide_gradients, parameter_groups


def names_by_kind(module):
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = parameter_groups({"part": module}, ["part"])
    decayed, plain, matrices = set(), set(), set()
    for group in groups:
        found = {names[id(parameter)] for parameter in group["params"]}
        (plain if group.get("weight_decay") == 0 else decayed).update(found)
        if group["matrix"]:
            matrices |= found
    return decayed, plain, matrices


def test_filters_decay_but_are_no_matrices_and_positions_do_not():
    decayed, plain, matrices = names_by_kind(tiny_vision())
    assert "encoder.patch_embed.proj.weight" in decayed - matrices
    assert "encoder.blocks.0.attn.qkv.weight" in matrices
    assert {"encoder.pos_embed", "encoder.norm.weight", "encoder.patch_embed.proj.bias"} <= plain


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_treated_as_the_table(tied):
    config = {"hidden_size": 16, "num_hidden_layers": 1, "tie_word_embeddings": tied}
    decayed, plain, matrices = names_by_kind(NewLanguageModel(30, config=config))
    heads = {"model.model.embed_tokens.weight"} | (set() if tied else {"model.lm_head.weight"})
    assert heads == {name for name in plain if "embed" in name or "head" in name}
    assert "model.model.layers.0.mlp.up_proj.weight" in matrices & decayed


def test_a_matrix_of_the_shape_of_the_table_is_none():
    config = {"hidden_size": 16, "intermediate_size": 30, "num_hidden_layers": 1}
    decayed, _, matrices = names_by_kind(NewLanguageModel(30, config=config))
    assert "model.model.layers.0.mlp.up_proj.weight" in matrices & decayed


def test_every_trainable_parameter_is_in_one_group_and_frozen_ones_in_none():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    model[0].bias.requires_grad_(False)
    groups = parameter_groups({"a": model, "b": nn.Linear(2, 2)}, ["a"])
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert {group["part"] for group in groups} == {"a"}


def test_decay_shrinks_matrices_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    optimizer = AdamW(parameter_groups({"a": model}, ["a"]), lr=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model[0].weight, before["0.weight"] * 0.95)
    for name in ("0.bias", "1.weight", "1.bias"):
        assert torch.equal(dict(model.named_parameters())[name], before[name])


def test_scaled_rates_survive_the_schedule():
    model = {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}
    groups = parameter_groups(model, ["a", "b"])
    optimizer = build_optimizer(lambda found: SGD(found, lr=0.4), groups, {"b": 0.5})
    schedule = Schedule(warmup_fraction=0.5, final_fraction=0.0).build(optimizer, 4)
    rates = []
    for _ in range(5):
        rates.append({group["part"]: group["lr"] for group in optimizer.param_groups})
        optimizer.step()
        schedule.step()
    assert [rate["a"] for rate in rates] == pytest.approx([0.2, 0.4, 0.4, 0.2, 0])
    assert [rate["b"] for rate in rates] == pytest.approx([0.1, 0.2, 0.2, 0.1, 0])


def test_a_schedule_without_warm_up_or_fall_is_flat():
    schedule = Schedule(warmup_fraction=0.0, final_fraction=1.0)
    assert {schedule.factor(step, 10) for step in range(11)} == {1.0}


@pytest.mark.parametrize("name", ["warmup_fraction", "final_fraction"])
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_wrong_share_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"schedule\.{name}: got {value}, allowed: 0 to 1"):
        Schedule(**{name: value})


def test_a_stage_scales_the_rates_of_its_parts():
    stage = tiny_stage(lr_scale={"projector": 0.5})
    stage.configure_model()
    groups = parameter_groups(stage.parts, stage.trainable)
    optimizer = build_optimizer(stage.optimizer, groups, stage.lr_scale)
    assert {g["part"]: g["lr"] for g in optimizer.param_groups} == {
        "projector": 0.05,
        "language": 0.1,
    }


def test_gradients_are_divided_where_there_are_any():
    optimizer = SGD([nn.Parameter(torch.zeros(2)) for _ in range(3)], lr=1.0)
    divide_gradients(optimizer, 4)
    (first, second, third) = optimizer.param_groups[0]["params"]
    first.grad, third.grad = torch.full((2,), 2.0), torch.full((2,), 6.0)
    divide_gradients(optimizer, 4)
    assert (first.grad.tolist(), second.grad, third.grad.tolist()) == ([0.5] * 2, None, [1.5] * 2)


def test_a_rate_that_climbs_is_refused():
    groups = parameter_groups({"a": nn.Linear(2, 2)}, ["a"])
    for factor in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"lr_scale\.a: got .*, allowed: 0 or more"):
            build_optimizer(lambda g: SGD(g, lr=0.1), groups, {"a": factor})
    assert [group["name"] for group in groups] == ["a-matrix", "a-plain"]
