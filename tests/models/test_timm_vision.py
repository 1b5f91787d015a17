"""Encoders of timm: layers, weights from files and folders, their own pixels."""

import json
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from real_folders import SIGLIP, SIGLIP_ARGS, save_siglip
from safetensors.torch import load_file, save_file
from timm.data.transforms_factory import create_transform

from mmlite.images import AnyRes, ImageTransform, timm_image
from mmlite.models import TimmVision

TINY: dict[str, Any] = {
    "img_size": 16,
    "patch_size": 4,
    "embed_dim": 12,
    "depth": 3,
    "num_heads": 2,
}


def pixels(size=42, tiles=2):
    return torch.randn(tiles, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def weights(tmp_path):
    return save_siglip(tmp_path / "siglip.safetensors")


@pytest.mark.parametrize("layer", [-1, -2, -3])
def test_a_layer_is_a_blocks_output_as_it_is(weights, layer):
    whole: Any = timm.create_model(SIGLIP, num_classes=0, **SIGLIP_ARGS).eval()
    whole.load_state_dict(load_file(weights))
    outputs = []
    for block in whole.blocks:
        block.register_forward_hook(lambda module, given, output: outputs.append(output))
    vision = TimmVision(SIGLIP, weights=str(weights), feature_layer=layer, model_args=SIGLIP_ARGS)
    with torch.no_grad():
        whole(pixels())
        torch.testing.assert_close(vision(pixels()), outputs[layer])
    assert (vision.num_patches, vision.dim) == (9, 24)


def test_without_a_layer_the_last_is_normalised(weights):
    whole: Any = timm.create_model(SIGLIP, num_classes=0, **SIGLIP_ARGS).eval()
    whole.load_state_dict(load_file(weights))
    vision = TimmVision(SIGLIP, weights=str(weights), model_args=SIGLIP_ARGS)
    with torch.no_grad():
        torch.testing.assert_close(vision(pixels()), whole.forward_features(pixels()))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        (SIGLIP, SIGLIP_ARGS),
        ("vit_tiny_patch16_224", TINY),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (4, 4, 4, 6)}),
    ],
)
@pytest.mark.parametrize("layer", [None, -2])
def test_every_weight_that_is_kept_is_used(name, args, layer):
    vision = TimmVision(name, feature_layer=layer, model_args=args)
    size = vision.fixed_size[-1] if vision.fixed_size else 64
    vision(pixels(size)).sum().backward()
    assert [n for n, parameter in vision.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("layer", [0, 2, -4])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(ValueError, match=rf"feature_layer: got {layer}, allowed: null, or a layer"):
        TimmVision("vit_tiny_patch16_224", feature_layer=layer, model_args=TINY)


@pytest.mark.parametrize("given", ["{folder}", "local-dir:{folder}", "~", "local-dir:~"])
def test_a_local_folder_is_a_model(given, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = given.format(folder=tmp_path)
    torch.manual_seed(0)
    saved = timm.create_model("vit_tiny_patch16_224", num_classes=0, **TINY)
    save_file(saved.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 0,
        "model_args": TINY,
        "pretrained_cfg": {
            "num_classes": 0,
            "input_size": [3, 16, 16],
            "interpolation": "bilinear",
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "first_conv": "patch_embed.proj",
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    vision = TimmVision(given, pretrained=True)
    for name, tensor in vision.encoder.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name]), name
    transform = timm_image(given, "pad")
    assert transform == ImageTransform(
        size_px=16,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        fit="pad",
        interpolation="bilinear",
    )


def test_weights_that_do_not_fit_are_refused(weights, tmp_path):
    small = {**SIGLIP_ARGS, "embed_dim": 12}
    with pytest.raises(ValueError, match=r"vision\.weights: got .*does not fit the encoder .*size"):
        TimmVision(SIGLIP, weights=str(weights), model_args=small)
    deep = {**SIGLIP_ARGS, "depth": 4}
    with pytest.raises(ValueError, match=r"lacks 12 of the encoder's weights, such as blocks\.3"):
        TimmVision(SIGLIP, weights=str(weights), model_args=deep)
    with pytest.raises(ValueError, match=r"vision\.weights: got .*none.*cannot be read"):
        TimmVision(SIGLIP, weights=str(tmp_path / "none"), model_args=SIGLIP_ARGS)


def test_weights_an_encoder_does_not_have_are_told(weights, caplog):
    shallow = {**SIGLIP_ARGS, "depth": 2}
    TimmVision(SIGLIP, weights=str(weights), model_args=shallow)
    assert "vision.weights: left out of" in caplog.text
    assert "blocks.2" in caplog.text


def test_arguments_that_timm_refuses_are_told():
    with pytest.raises(ValueError, match=r"model_args .*'colour': 3.* which timm cannot build"):
        TimmVision("vit_tiny_patch16_224", model_args={**TINY, "colour": 3})


def test_pixels_of_another_size_are_refused():
    vision = TimmVision("vit_tiny_patch16_224", model_args=TINY)
    with pytest.raises(ValueError, match=r"got tiles of \(3, 20, 20\).*size_px to 16"):
        vision(pixels(20))


def test_weights_of_another_type_take_pixels_as_they_come(weights):
    vision = TimmVision(SIGLIP, weights=str(weights), dtype="bfloat16", model_args=SIGLIP_ARGS)
    assert vision(pixels()).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["vit_so400m_patch14_siglip_384", "vit_base_patch16_clip_224"])
def test_pixels_are_those_of_timm(name):
    transform = timm_image(name)
    config = timm.get_pretrained_cfg(name)
    assert config is not None
    peer: Any = create_transform(
        config.input_size,
        mean=config.mean,
        std=config.std,
        interpolation=config.interpolation,
        crop_pct=1.0,
        crop_mode="squash",
    )
    image = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    expected = peer(Image.fromarray(image))
    torch.testing.assert_close(torch.from_numpy(transform(image)[0]), expected)


def test_other_kinds_of_transforms_take_timms_numbers():
    found = timm_image("vit_so400m_patch14_siglip_384", "anyres", size_px=42)
    assert found == AnyRes(size_px=42)
    with pytest.raises(ValueError, match=r"image\.model_name: got 'vit_tinny', allowed"):
        timm_image("vit_tinny")


def test_a_name_that_timm_does_not_know_has_near_ones_told():
    with pytest.raises(ValueError, match=r"such as .*vit_so400m_patch14_siglip_384"):
        TimmVision("vit_so400m_patch14_siglip_385")
