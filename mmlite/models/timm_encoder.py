"""Building encoders of timm: by name, hub id, folder or file, cut behind a layer."""

import logging
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mmlite.hub import local_folder, locate

_log = logging.getLogger(__name__)

_SOURCES = ("hf-hub:", "local-dir:")


def create_encoder(
    model_name: str, *, pretrained: bool, model_args: Mapping[str, Any]
) -> nn.Module:
    """Build a timm model without its classifier.

    Args:
        model_name: Of timm, of the hub after `hf-hub:`, or a local folder in the hub's layout.
        pretrained: Whether published weights, or those of the folder, are loaded.
        model_args: More arguments of `timm.create_model`.

    Raises:
        ValueError: If there is no such model, or its weights cannot be had.
    """
    if folder := local_folder(model_name.removeprefix("local-dir:"), key="vision.model_name"):
        model_name = f"local-dir:{folder}"
    if not model_name.startswith(_SOURCES) and not timm.is_model(model_name):
        near = get_close_matches(model_name, timm.list_models(), n=8)
        raise ValueError(
            f"vision.model_name: got {model_name!r}, allowed: a model of timm "
            f"(timm.list_models()), such as {', '.join(near) or 'vit_tiny_patch16_224'}; or "
            "hf-hub:NAME, or a local folder with config.json and model.safetensors"
        )
    _check_reachable(model_name, pretrained=pretrained)
    args = {"num_classes": 0, **model_args}
    try:
        return timm.create_model(model_name, pretrained=pretrained, **args)
    except (OSError, RuntimeError, TypeError, KeyError, SafetensorError) as error:
        raise ValueError(
            f"vision: got model_name {model_name!r}, pretrained {str(pretrained).lower()} and "
            f"model_args {args}, which timm cannot build ({' '.join(str(error).split())[:300]}); "
            "allowed: arguments that the model takes, and weights that are on disk or can be "
            "downloaded; a local file goes into vision.weights"
        ) from error


def _check_reachable(model_name: str, *, pretrained: bool) -> None:
    """Stop where the files of a model are on the hub alone, and the hub cannot be reached."""
    source, _, of_hub = model_name.partition("hf-hub:")
    if of_hub and not source:
        name, at, revision = of_hub.partition("@")
        if (at and not revision) or "@" in revision:
            raise ValueError(
                f"vision.model_name: got {model_name!r}, allowed: hf-hub:OWNER/NAME, or "
                "hf-hub:OWNER/NAME@REVISION with a commit, tag or branch behind the one @"
            )
        locate(name, key="vision.model_name", revision=revision or None)
    elif pretrained and timm.is_model(model_name):
        known = getattr(timm.get_pretrained_cfg(model_name), "hf_hub_id", None)
        if known:
            locate(known, key="vision.model_name", files=("model.safetensors",))


def load_encoder(encoder: nn.Module, path: str) -> None:
    """Load weights in timm's names; what the encoder does not have is told and left out.

    Args:
        encoder: As `create_encoder` returned it.
        path: A safetensors file.

    Raises:
        ValueError: If the file cannot be read, or does not fit.
    """
    try:
        weights = load_file(Path(path).expanduser())
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"vision.weights: got {path!r}, which cannot be read ({error}); allowed: a "
            "safetensors file"
        ) from error
    # timm converts older names and other sizes of the position table, by architecture.
    convert = getattr(sys.modules[type(encoder).__module__], "checkpoint_filter_fn", None)
    try:
        weights = weights if convert is None else convert(weights, encoder)
        result = encoder.load_state_dict(weights, strict=False)
    except (RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            f"vision.weights: got {path!r}, which does not fit the encoder "
            f"({' '.join(str(error).split())[:300]}); build the encoder with the sizes it was "
            "trained with"
        ) from error
    if result.missing_keys:
        names = ", ".join(result.missing_keys[:4])
        raise ValueError(
            f"vision.weights: got {path!r}, which lacks {len(result.missing_keys)} of the "
            f"encoder's weights, such as {names}; allowed: all of them, in timm's names (what a "
            "run trained is taken by init_from)"
        )
    if result.unexpected_keys:
        _log.warning("vision.weights: left out of %s: %s", path, ", ".join(result.unexpected_keys))


def keep_layers(encoder: Any, feature_layer: int | None) -> None:
    """Leave out what lies behind the layer whose features are taken; changed in place.

    Args:
        encoder: Of timm.
        feature_layer: Counted from the end, without the last normalisation; None: the last, with.

    Raises:
        ValueError: If it has no such layer.
    """
    keeps_all = feature_layer is None
    wrong = feature_layer is not None and feature_layer >= 0
    try:
        layers = [-1 if feature_layer is None else feature_layer]
        if not wrong:
            encoder.prune_intermediate_layers(layers, prune_norm=not keeps_all, prune_head=True)
    except (AttributeError, AssertionError):
        wrong = not keeps_all
    if wrong:
        raise ValueError(
            f"vision.feature_layer: got {feature_layer}, allowed: null, or a layer of the encoder "
            "counted from its end: -1 is the last, -2 the one before"
        )


def fixed_size(encoder: Any) -> tuple[int, int, int] | None:
    """Return channels, height and width of the pixels an encoder takes; None: it takes any."""
    embed = getattr(encoder, "patch_embed", None)
    size = getattr(embed, "img_size", None)
    return (3, *size) if size and getattr(embed, "strict_img_size", True) else None


def feature_shape(module: nn.Module, size: tuple[int, int, int]) -> torch.Size:
    """Return the shape of a module's output for one tile; nothing is computed."""
    names = [*module.named_parameters(), *module.named_buffers()]
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in names}
    dtype = next(module.parameters()).dtype
    pixels = torch.empty(1, *size, device="meta", dtype=dtype)
    with torch.no_grad():
        return torch.func.functional_call(module, state, (pixels,)).shape
