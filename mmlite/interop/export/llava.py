"""Our model as LLaVA or LLaVA-OneVision of transformers: the same tensors under other names."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    SiglipVisionConfig,
)

from mmlite.images import AnyRes
from mmlite.models import MLPProjector, TimmVision, VisionLanguageModel
from mmlite.processor import Processor
from mmlite.published import timm_to_siglip

ACTIVATIONS = {"GELU": "gelu", "GELUTanh": "gelu_pytorch_tanh", "QuickGELU": "quick_gelu"}
"""Activations of timm by class, and transformers' names for them."""


@dataclass(frozen=True)
class TokenIds:
    """Ids of the tokens that stand for pictures.

    Attributes:
        image: Stands for an image.
        video: Stands for a video, which our models never see.
    """

    image: int
    video: int


def to_llava(
    model: VisionLanguageModel, processor: Processor, ids: TokenIds, *, rows: int
) -> PreTrainedModel:
    """Build the model of transformers that computes what ours does.

    Args:
        model: Ours.
        processor: Ours; says whether the resolution is fixed or any.
        ids: Of image and video tokens.
        rows: Rows of the vocabulary's tables; new ones are the mean of the others.

    Raises:
        ValueError: If transformers' model has no way to compute it, naming what and why.
    """
    vision, projector = model.vision, model.projector
    if any(".lora_" in f".{name}" for name, _ in model.named_parameters()):
        raise ValueError(
            "export: got adapters beside the weights, allowed: weights alone; merge them first "
            "(mmlite merge RUN --out NEW) and export what that writes"
        )
    if problems := _problems(vision, projector, model.language.dim):
        raise ValueError("export: " + "; ".join(problems))
    assert isinstance(vision, TimmVision), "checked above"
    text = model.language.model.config.to_dict()
    text["vocab_size"] = rows
    shared: dict[str, Any] = {
        "vision_config": siglip_config(vision.encoder),
        "text_config": text,
        "image_token_index": ids.image,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": bool(text.get("tie_word_embeddings")),
    }
    image = processor.image
    dtype = model.language.table.dtype
    made: PreTrainedModel
    if isinstance(image, AnyRes):
        config = LlavaOnevisionConfig(
            **shared,
            video_token_index=ids.video,
            image_grid_pinpoints=grid_pinpoints(image),
            vision_aspect_ratio=f"anyres_max_{image.max_tiles}",
        )
        made = LlavaOnevisionForConditionalGeneration._from_config(config, dtype=dtype)
    else:
        config = LlavaConfig(**shared, image_seq_length=processor.tokens_per_tile)
        made = LlavaForConditionalGeneration._from_config(config, dtype=dtype)
    _fill(made, llava_state(model, rows=rows))
    return made.eval()


def grid_pinpoints(image: AnyRes) -> list[list[int]]:
    """Return the sizes of canvas that an image may be cut from, height and width in pixels."""
    side = image.size_px
    return [
        [row * side, column * side]
        for row in range(1, image.grid_rows + 1)
        for column in range(1, image.grid_columns + 1)
    ]


def siglip_config(encoder: Any) -> dict[str, Any]:
    """Return the configuration of a `SiglipVisionModel` with an encoder's sizes."""
    block = encoder.blocks[0]
    return SiglipVisionConfig(
        hidden_size=encoder.embed_dim,
        intermediate_size=block.mlp.fc1.out_features,
        num_hidden_layers=len(encoder.blocks),
        num_attention_heads=block.attn.num_heads,
        image_size=encoder.patch_embed.img_size[0],
        patch_size=encoder.patch_embed.patch_size[0],
        hidden_act=ACTIVATIONS[type(block.mlp.act).__name__],
        layer_norm_eps=block.norm1.eps,
        vision_use_head=False,
    ).to_dict()


def llava_state(model: VisionLanguageModel, *, rows: int) -> dict[str, Tensor]:
    """Return our weights under the names of transformers' LLaVA, in memory."""
    assert isinstance(model.vision, TimmVision), "checked before"
    assert model.projector is not None, "it comes with the vision encoder"
    vision = model.vision.encoder.state_dict()
    tower = timm_to_siglip({n: t for n, t in vision.items() if not n.startswith("attn_pool.")})
    names = {"layers.0": "linear_1", "layers.2": "linear_2"}
    state = {f"model.vision_tower.{name}": tensor for name, tensor in tower.items()}
    for name, tensor in model.projector.state_dict().items():
        module, _, kind = name.rpartition(".")
        new = f"multi_modal_projector.{names[module]}.{kind}" if module in names else name
        state[f"model.{new}"] = tensor
    for name, tensor in model.language.model.state_dict().items():
        new = f"model.language_{name}" if name.startswith("model.") else name
        is_table = name.endswith(("embed_tokens.weight", "lm_head.weight"))
        state[new] = _with_rows(tensor, rows) if is_table else tensor
    return state


def _with_rows(table: Tensor, rows: int) -> Tensor:
    missing = rows - len(table)
    if missing <= 0:
        return table
    mean = table.float().mean(dim=0, keepdim=True).to(table.dtype)
    return torch.cat([table, mean.expand(missing, -1)])


def _fill(made: PreTrainedModel, state: dict[str, Tensor]) -> None:
    own = made.state_dict()
    # In memory the tower may be wrapped once more, by version of transformers.
    wrapped = any(name.startswith("model.vision_tower.vision_model.") for name in own)
    if wrapped:
        prefix = "model.vision_tower."
        state = {
            prefix + "vision_model." + name.removeprefix(prefix)
            if name.startswith(prefix)
            else name: tensor
            for name, tensor in state.items()
        }
    result = made.load_state_dict(state, strict=False)
    # The norm behind the last layer is there, and nothing reads what comes out of it.
    missing = [name for name in result.missing_keys if ".post_layernorm." not in name]
    tied = made.config.tie_word_embeddings
    missing = [name for name in missing if not (tied and name == "lm_head.weight")]
    if missing or result.unexpected_keys:
        raise ValueError(
            f"export: got weights {', '.join(result.unexpected_keys[:4]) or 'none'} that LLaVA of "
            f"transformers has no place for, and none for {', '.join(missing[:4]) or 'none'}; "
            "allowed: a language model whose weights are named as in Qwen3 or Llama"
        )


def _problems(vision: nn.Module | None, projector: nn.Module | None, text_dim: int) -> list[str]:
    """Return why transformers' LLaVA cannot compute what a model does."""
    if vision is None or projector is None:
        return ["got a model without a vision encoder, allowed: vision-language models"]
    problems = []
    if type(projector) is not MLPProjector:
        problems.append(
            f"model.projector: got {type(projector).__name__}, allowed: MLPProjector, the only "
            "one that LLaVA of transformers has"
        )
    elif projector.layers[0].out_features != text_dim:
        problems.append(
            f"model.projector.hidden_dim: got {projector.layers[0].out_features}, allowed: "
            f"{text_dim}, the size of a token's embedding, or null"
        )
    return problems + _vision_problems(vision)


def _vision_problems(vision: nn.Module) -> list[str]:
    encoder: Any = getattr(vision, "encoder", None)
    blocks = getattr(encoder, "blocks", None)
    if not isinstance(vision, TimmVision) or not isinstance(blocks, nn.Sequential):
        kind = type(encoder or vision).__name__
        return [f"model.vision: got {kind}, allowed: a plain vision transformer of timm (SigLIP)"]
    problems = []
    if not isinstance(encoder.norm, nn.Identity):
        problems.append(
            "model.vision: got features behind the last normalisation, allowed: features before "
            "it, which LLaVA of transformers takes; train with vision.feature_layer -1 or -2"
        )
    first: Any = blocks[0]
    act = type(first.mlp.act).__name__
    if act not in ACTIVATIONS:
        problems.append(f"model.vision: got activation {act}, allowed: {', '.join(ACTIVATIONS)}")
    try:
        kept = {n: t for n, t in encoder.state_dict().items() if not n.startswith("attn_pool.")}
        timm_to_siglip(kept)
    except ValueError as error:
        problems.append(f"model.vision: {error}")
    return problems
