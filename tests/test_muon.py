"""Muon beside AdamW."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from mmlite.muon import MuonAdamW, orthogonal
from mmlite.optim import Schedule, build_optimizer, parameter_groups


def parts():
    torch.manual_seed(0)
    return {"language": nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 8), nn.Linear(8, 4))}


def gradients(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_updates_are_nearly_orthogonal():
    matrix = torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.6 < singular.min() < singular.max() < 1.3


def test_steps_are_those_of_torch_muon_and_adamw():
    ours, theirs = parts()["language"], parts()["language"]
    optimizer = MuonAdamW(parameter_groups({"language": ours}, ["language"]), lr=0.01)
    table, *rest = theirs.parameters()
    matrices = [p for p in rest if p.ndim == 2]
    vectors = [table, *(p for p in rest if p.ndim == 1)]
    muon = Muon(matrices, lr=0.01, weight_decay=0.01, momentum=0.95)
    adamw = AdamW(vectors, lr=0.01, betas=(0.9, 0.98), weight_decay=0.0)
    for seed in range(3):
        gradients(ours, seed)
        gradients(theirs, seed)
        optimizer.step()
        muon.step()
        adamw.step()
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        # torch's Muon orthogonalises in bfloat16; a step is about 0.01 large.
        torch.testing.assert_close(mine, reference, atol=2e-3, rtol=0)


def test_a_saved_state_goes_on_identically():
    module, again = parts()["language"], parts()["language"]
    first = MuonAdamW(parameter_groups({"language": module}, ["language"]))
    gradients(module, 0)
    first.step()
    again.load_state_dict(module.state_dict())
    second = MuonAdamW(parameter_groups({"language": again}, ["language"]))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for optimizer, model in ((first, module), (second, again)):
        gradients(model, 1)
        optimizer.step()
    for one, other in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_vectors_and_tables_are_not_decayed_and_parts_have_their_rates():
    model = {**parts(), "projector": nn.Linear(3, 3)}
    groups = parameter_groups(model, ["language", "projector"])
    factory = lambda found: AdamW(found, lr=0.1, weight_decay=0.5)  # noqa: E731
    optimizer = build_optimizer(factory, groups, {"projector": 0.5})
    rates = {group["part"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"language": 0.1, "projector": 0.05}
    decays = {(group["part"], group["matrix"]): group["weight_decay"] for group in groups}
    assert decays[("language", True)] == 0.5
    assert decays[("language", False)] == 0.0


def test_the_schedule_warms_up_and_falls_to_its_end():
    schedule = Schedule(warmup_fraction=0.1, final_fraction=0.2)
    factors = [schedule.factor(step, 100) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9] == 1.0
    assert max(factors) == 1.0
    assert factors[100] == 0.2
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_what_is_left_out_at_every_step_is_still_called_so():
    assert hasattr(torch.optim.AdamW, "_accelerator_graph_capture_health_check")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"matrix_lr": -1.0}, "matrix_lr: got -1.0, allowed: 0 or more"),
        ({"momentum": 5.0}, "momentum: got 5.0, allowed: 0 or more, below 1"),
        ({"matrix_parts": ("langage",)}, r"matrix_parts: got \['langage'\], allowed: .*language"),
    ],
)
def test_wrong_settings_are_refused(arguments, told):
    with pytest.raises(ValueError, match=f"MuonAdamW.{told}"):
        MuonAdamW([{"params": [torch.nn.Parameter(torch.ones(2, 2))], "part": "a"}], **arguments)
