"""One set of random weights, saved for both ways to train: transformers' LLaVA, and mmlite's parts.

FOLDER/llava is a `LlavaForConditionalGeneration`, FOLDER/language and FOLDER/vision are the models
inside it, and FOLDER/projector.safetensors its projector under mmlite's names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen3Config, SiglipVisionConfig, SiglipVisionModel

from benchmarks.training.mix import SPECIAL, word_tokenizer
from mmlite.chat import ChatTemplate
from mmlite.images import ImageTransform
from mmlite.models import MLPProjector, VisionEncoder
from mmlite.processor import Processor

PROJECTOR_NAMES = {"layers.0": "linear_1", "layers.2": "linear_2"}
FEATURE_LAYER = -2


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; the defaults are a small one with the tokens of Qwen3.

    Attributes:
        vocabulary: Token ids.
        hidden: Width of the language model.
        layers: Its blocks.
        vision_hidden: Width of the vision encoder.
        vision_layers: Its blocks.
        image_px: Side of an image.
        patch_px: Side of a patch; each patch becomes a token.
        max_text_tokens: Longest conversation, without its image.
        initializer_range: Spread of fresh weights. With the usual one a fresh language model with
            tied embeddings repeats its last token; with 0.2 it writes texts.
    """

    vocabulary: int = 151_936
    hidden: int = 256
    layers: int = 6
    vision_hidden: int = 192
    vision_layers: int = 4
    image_px: int = 336
    patch_px: int = 14
    max_text_tokens: int = 512
    initializer_range: float = 0.02

    @property
    def image_tokens(self) -> int:
        """Tokens of an image."""
        return (self.image_px // self.patch_px) ** 2


TINY = Shape(
    vocabulary=400,
    hidden=32,
    layers=2,
    vision_hidden=24,
    vision_layers=2,
    image_px=32,
    patch_px=16,
    max_text_tokens=64,
)
"""For tests: the program in seconds."""


def text_config(shape: Shape) -> Qwen3Config:
    """Return the language model's configuration."""
    return Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=shape.hidden // 4,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=shape.initializer_range,
        bos_token_id=None,
        eos_token_id=SPECIAL.index("<|im_end|>"),
        pad_token_id=SPECIAL.index("<|endoftext|>"),
    )


def vision_config(shape: Shape) -> SiglipVisionConfig:
    """Return the vision encoder's configuration."""
    return SiglipVisionConfig(
        hidden_size=shape.vision_hidden,
        intermediate_size=4 * shape.vision_hidden,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=4,
        image_size=shape.image_px,
        patch_size=shape.patch_px,
    )


def save_parts(folder: Path, shape: Shape) -> None:
    """Draw weights and save them for both ways to train."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=vision_config(shape),
        text_config=text_config(shape),
        image_token_index=SPECIAL.index("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=FEATURE_LAYER,
        image_seq_length=shape.image_tokens,
        tie_word_embeddings=True,
    )
    llava = LlavaForConditionalGeneration(config)
    llava.save_pretrained(folder / "llava")
    language = Qwen3ForCausalLM(text_config(shape))
    language.model.load_state_dict(llava.model.language_model.state_dict())
    language.tie_weights()
    language.save_pretrained(folder / "language")
    llava.model.vision_tower.save_pretrained(folder / "vision")
    state = llava.model.multi_modal_projector.state_dict()
    renamed = {
        f"{ours}.{kind}": state[f"{theirs}.{kind}"]
        for ours, theirs in PROJECTOR_NAMES.items()
        for kind in ("weight", "bias")
    }
    save_file(renamed, folder / "projector.safetensors")


def load_llava(folder: Path) -> Any:
    """Load transformers' model with a frozen vision encoder."""
    from transformers import LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration.from_pretrained(folder / "llava", dtype=torch.float32)
    model.model.vision_tower.requires_grad_(False)
    return model


class SavedSiglip(VisionEncoder):
    """The vision encoder that transformers' model has, up to the same layer."""

    is_published = True

    def __init__(self, folder: Path, shape: Shape) -> None:
        super().__init__()
        self.encoder = SiglipVisionModel.from_pretrained(folder / "vision", dtype=torch.float32)
        self.num_patches = shape.image_tokens
        self.dim = shape.vision_hidden

    def forward(
        self, pixels: Float[Tensor, "tile channel height width"]
    ) -> Float[Tensor, "tile patch vision_dim"]:
        """Return the features of the layer that is asked for."""
        return self.encoder(pixels, output_hidden_states=True).hidden_states[FEATURE_LAYER]


def saved_projector(folder: Path, vision_dim: int, text_dim: int) -> MLPProjector:
    """Return the projector with the saved weights."""
    projector = MLPProjector(vision_dim, text_dim)
    projector.load_state_dict(load_file(folder / "projector.safetensors"))
    return projector


def build_processor(shape: Shape) -> Processor:
    """Return the processor that both ways share: tokens, labels and pixels are the same."""
    half = (0.5, 0.5, 0.5)
    return Processor(
        word_tokenizer(shape.vocabulary),
        chat=ChatTemplate(
            user_start="<|im_start|>user\n",
            user_end="<|im_end|>\n",
            assistant_start="<|im_start|>assistant\n",
            assistant_end="<|im_end|>\n",
        ),
        image=ImageTransform(size_px=shape.image_px, mean=half, std=half),
        tokens_per_tile=shape.image_tokens,
        max_tokens=4096,
    )
