"""Weights that are loaded are not drawn first; what no file holds is computed as ever."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mmlite.models import TimmVision
from mmlite.models.uninitialized import loaded_without_drawing

SIZE: dict[str, Any] = {
    "img_size": 16,
    "patch_size": 4,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 2,
}
SIGLIP = ("vit_so400m_patch14_siglip_384", SIZE)
ROTARY = ("eva02_tiny_patch14_224", SIZE)  # its tables of angles are in no file
WINDOWED = (
    "swin_tiny_patch4_window7_224",
    {"img_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
)
CONVOLUTIONAL = ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]})


def held(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@pytest.mark.parametrize(("name", "size"), [SIGLIP, ROTARY, WINDOWED, CONVOLUTIONAL])
def test_a_loaded_encoder_is_bit_by_bit_the_one_that_was_saved(name, size, tmp_path):
    torch.manual_seed(1)
    saved = timm.create_model(name, num_classes=0, **size)
    file = str(tmp_path / "encoder.safetensors")
    save_file(saved.state_dict(), file)
    before = torch.get_rng_state()
    loaded = TimmVision(name, weights=file, model_args=size).encoder
    assert torch.equal(torch.get_rng_state(), before), "nothing was drawn"
    expected, found = held(saved), held(loaded)
    assert len(found) > 4
    for key, tensor in found.items():  # without the head, which is left out
        assert torch.equal(tensor, expected[key]), key


def test_rotary_tables_are_in_no_file():
    model = timm.create_model(ROTARY[0], num_classes=0, **SIZE)
    assert set(dict(model.named_buffers())) - set(model.state_dict())


def seeded(build) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return build().state_dict()


def partly_loaded() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    made.load_state_dict({"0.weight": torch.ones(3, 3)}, strict=False)
    return made


def computed_from_random() -> nn.Module:
    made = nn.Linear(3, 3)
    made.register_buffer("norm", made.weight.detach().norm())
    made.load_state_dict({"weight": torch.ones(3, 3), "bias": torch.ones(3)}, strict=False)
    return made


def scaled_after_loading() -> nn.Module:
    made = nn.Linear(3, 3)
    nn.init.trunc_normal_(made.weight)
    made.load_state_dict({"weight": torch.ones(3, 3), "bias": torch.ones(3)})
    made.weight.data.mul_(2)
    return made


def rotated() -> nn.Module:
    made = nn.Linear(3, 3)
    nn.init.orthogonal_(made.weight)
    made.load_state_dict({"bias": torch.ones(3)}, strict=False)
    return made


def with_buffer(value: torch.Tensor, made: nn.Module) -> nn.Module:
    made.register_buffer("kept", value)
    made.load_state_dict({"weight": torch.ones(3, 3), "bias": torch.ones(3)}, strict=False)
    return made


def stacked() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.stack([made.weight.detach(), made.weight.detach()]), made)


def copied() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.zeros(3, 3).copy_(made.weight.detach()), made)


def read_by_python() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.tensor(made.weight.detach()[0, 0].item()), made)


def piece_copied() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.zeros(3).copy_(made.weight.detach().chunk(3)[1].view(3)), made)


def assigned() -> nn.Module:
    made = nn.Linear(3, 3)
    value = torch.zeros(3, 3)
    value[:] = made.weight.detach()
    return with_buffer(value, made)


def read_by_numpy() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.tensor(np.asarray(made.weight.detach())), made)


def drawn_besides() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.randn(3), made)


def turned() -> nn.Module:
    made = nn.Linear(3, 3)
    made.weight = nn.Parameter(torch.empty(2, 3).normal_().t_())
    made.load_state_dict({"weight": torch.ones(3, 2), "bias": torch.ones(3)})
    return made


def with_sparse() -> nn.Module:
    made = nn.Linear(3, 3)
    return with_buffer(torch.eye(3).to_sparse().to_dense(), made)


LEFT_RANDOM = [
    *(partly_loaded, computed_from_random, scaled_after_loading),
    *(rotated, stacked, copied, read_by_python, piece_copied, assigned, read_by_numpy),
    *(drawn_besides, turned, with_sparse),
]


@pytest.mark.parametrize("build", LEFT_RANDOM)
def test_whatever_is_left_random_is_as_it_would_have_been(build):
    expected, found = seeded(build), seeded(lambda: loaded_without_drawing(build))
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_a_shape_that_is_asked_for_is_no_number_that_is_read():
    builds = []

    def build() -> nn.Module:
        builds.append(1)
        made = nn.Linear(3, 3)
        made.register_buffer("of_shape", torch.zeros_like(made.weight.detach()))
        made.load_state_dict({"weight": torch.ones(3, 3), "bias": torch.ones(3)}, strict=False)
        return made

    made = dict(loaded_without_drawing(build).named_buffers())
    assert torch.equal(made["of_shape"], torch.zeros(3, 3))
    assert len(builds) == 1
