"""SigLIP's weights under the names of timm and under those of transformers.

Both hold the same tensors; timm stacks query, key and value into one matrix and keeps the position
table with a leading axis. Stacking and cutting move numbers and change none, so that a conversion
there and back is exact, bit by bit. Names as in timm 1.0 (`timm/models/vision_transformer.py`,
`timm/layers/attention_pool.py`) and transformers 5 (`models/siglip/modeling_siglip.py`).

A plain vision transformer of timm without class token has the same shape as SigLIP without its
pooling head, and converts the same way.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_DIRECT = {
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm": "post_layernorm",
    "attn_pool.proj": "head.attention.out_proj",
    "attn_pool.norm": "head.layernorm",
    "attn_pool.mlp.fc1": "head.mlp.fc1",
    "attn_pool.mlp.fc2": "head.mlp.fc2",
}
"""Modules by timm's name and by transformers'; weight and bias each."""

_IN_BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}

_STACKED = ("q_proj", "k_proj", "v_proj")
_POSITIONS = ("pos_embed", "embeddings.position_embedding.weight")
_COUNTED = "embeddings.position_ids"
"""Numbers from 0, which some programs store."""

_PROBE = ("attn_pool.latent", "head.probe")


def timm_to_siglip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and cut timm's weights into those of transformers' `SiglipVisionModel`.

    Args:
        weights: By timm's name, such as `blocks.0.attn.qkv.weight`.

    Raises:
        ValueError: If a name is none of SigLIP's.
    """
    made: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in weights.items():
        module, _, kind = name.rpartition(".")
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        if name == _POSITIONS[0]:
            made[_POSITIONS[1]] = tensor.squeeze(0)
        elif name == _PROBE[0]:
            made[_PROBE[1]] = tensor
        elif module in _DIRECT:
            made[f"{_DIRECT[module]}.{kind}"] = tensor
        elif block and block[2] in _IN_BLOCK:
            made[f"encoder.layers.{block[1]}.{_IN_BLOCK[block[2]]}.{kind}"] = tensor
        elif block and block[2] == "attn.qkv":
            for part, cut in zip(_STACKED, tensor.chunk(3), strict=True):
                made[f"encoder.layers.{block[1]}.self_attn.{part}.{kind}"] = cut.clone()
        elif module not in ("attn_pool.q", "attn_pool.kv"):
            unknown.append(name)
    _refuse(unknown, "timm", "patch_embed, pos_embed, blocks, norm, attn_pool")
    return made | _pooling_stack(weights)


def _pooling_stack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stack query, key and value of timm's pooling head, where there is one."""
    return {
        f"head.attention.in_proj_{kind}": torch.cat(
            [weights[f"attn_pool.{part}.{kind}"] for part in ("q", "kv")]
        )
        for kind in ("weight", "bias")
        if f"attn_pool.q.{kind}" in weights
    }


def siglip_to_timm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and stack weights of transformers' `SiglipVisionModel` into timm's.

    Args:
        weights: By name without a prefix, such as `encoder.layers.0.self_attn.q_proj.weight`.

    Raises:
        ValueError: If a name is none of SigLIP's, or a block lacks query, key or value.
    """
    direct = {theirs: ours for ours, theirs in _DIRECT.items()}
    in_block = {theirs: ours for ours, theirs in _IN_BLOCK.items()}
    made: dict[str, Tensor] = {}
    stacks: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for name, tensor in weights.items():
        module, _, kind = name.rpartition(".")
        block = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", module)
        if name == _POSITIONS[1]:
            made[_POSITIONS[0]] = tensor.unsqueeze(0)
        elif name == _PROBE[1]:
            made[_PROBE[0]] = tensor
        elif module in direct:
            made[f"{direct[module]}.{kind}"] = tensor
        elif block and block[2] in in_block:
            made[f"blocks.{block[1]}.{in_block[block[2]]}.{kind}"] = tensor
        elif block and block[2].removeprefix("self_attn.") in _STACKED:
            place = f"blocks.{block[1]}.attn.qkv.{kind}"
            stacks.setdefault(place, {})[block[2].removeprefix("self_attn.")] = tensor
        elif module == "head.attention" and kind in ("in_proj_weight", "in_proj_bias"):
            kind = kind.removeprefix("in_proj_")
            dim = len(tensor) // 3
            made[f"attn_pool.q.{kind}"] = tensor[:dim].clone()
            made[f"attn_pool.kv.{kind}"] = tensor[dim:].clone()
        else:
            unknown.append(name)
    unknown = [name for name in unknown if name != _COUNTED]
    _refuse(unknown, "transformers", "embeddings, encoder.layers, post_layernorm, head")
    for place, parts in stacks.items():
        if len(parts) < len(_STACKED):
            raise ValueError(
                f"SigLIP weights: got only {', '.join(parts)} of {place}, allowed: all of "
                f"{', '.join(_STACKED)}; the file is not whole, download it again"
            )
        made[place] = torch.cat([parts[part] for part in _STACKED])
    return made


def _refuse(unknown: list[str], whose: str, allowed: str) -> None:
    if unknown:
        raise ValueError(
            f"SigLIP weights: got {', '.join(unknown[:4])}, allowed: {whose}' names of a SigLIP "
            f"vision tower ({allowed}); convert another encoder in another way"
        )
