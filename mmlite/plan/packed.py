"""4-bit weights in a plan: models without weights cannot pack them, so their bytes are computed."""

from dataclasses import dataclass

import torch

from mmlite.models.adapters import adapted_module, linear_names
from mmlite.models.quantization import Quantization
from mmlite.stages import Stage

BLOCK = 64
"""Weights that share a scale (QLoRA, arXiv:2305.14314, sec. 3)."""

SCALE_BLOCK = 256
"""Scales that share a scale of their own, under double quantisation."""


@dataclass(frozen=True)
class Packing:
    """What 4-bit weights change in the memory of a device.

    Attributes:
        saved: Bytes that packed weights need less than those that were planned.
        unpacked: Bytes of the largest layer, which is unpacked while it computes.
    """

    saved: int = 0
    unpacked: int = 0


def bytes_of_weight(settings: Quantization) -> float:
    """Return the bytes of one packed weight, its share of the scales included."""
    scale = 1 + 4 / SCALE_BLOCK if settings.double else 4
    return 0.5 + scale / BLOCK


def packing_of(stage: Stage) -> Packing:
    """Return what the 4-bit weights of a stage that was built for its shapes change.

    Every linear layer of such a part is packed, the head of a language model apart.
    """
    saved, unpacked = 0.0, 0
    for part, form in stage.adapters.forms.items():
        if form.quantize is None:
            continue
        each = bytes_of_weight(form.quantize)
        computed = getattr(torch, form.quantize.compute_dtype).itemsize
        root = adapted_module(stage.parts[part])
        for name in linear_names(root):
            if ".lora_" in f".{name}":
                continue
            weight = root.get_submodule(name).weight
            assert isinstance(weight, torch.Tensor), "linear layers have weights"
            saved += weight.numel() * (weight.dtype.itemsize - each)
            unpacked = max(unpacked, weight.numel() * computed)
    return Packing(int(saved), unpacked)
