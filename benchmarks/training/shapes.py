"""Sizes of the models that are measured, and their configurations."""

from dataclasses import dataclass, replace
from typing import Any

from transformers import Qwen3Config, SiglipVisionConfig

from benchmarks.flops import LanguageShape, VisionShape
from benchmarks.training.mix import SPECIAL

FEATURE_LAYER = -2
"""Hidden states of the encoder that become tokens: those of the last block but one."""


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
        heads: Heads of the language model's queries.
        kv_heads: Its heads of keys and values.
        head_dim: Width of such a head; None: they share the model's width.
        inner: Width inside its feed-forward layers; None: three times the model's.
        vision_heads: Heads of the encoder.
        vision_inner: Width inside its feed-forward layers; None: four times the encoder's.
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
    heads: int = 4
    kv_heads: int = 2
    head_dim: int | None = None
    inner: int | None = None
    vision_heads: int = 4
    vision_inner: int | None = None

    @property
    def image_tokens(self) -> int:
        """Tokens of an image."""
        return (self.image_px // self.patch_px) ** 2

    @property
    def language(self) -> LanguageShape:
        """The language model, as its FLOPs are counted."""
        return LanguageShape(
            width=self.hidden,
            layers=self.layers,
            inner=self.inner or 3 * self.hidden,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim or self.hidden // self.heads,
            vocabulary=self.vocabulary,
        )

    @property
    def vision(self) -> VisionShape:
        """The encoder up to the layer that is taken, as its FLOPs are counted."""
        return VisionShape(
            width=self.vision_hidden,
            layers=self.vision_layers + FEATURE_LAYER + 1,
            inner=self.vision_inner or 4 * self.vision_hidden,
            patch_px=self.patch_px,
            patches=self.image_tokens,
        )


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

QWEN3_0_6B = Shape(
    hidden=1024,
    layers=28,
    heads=16,
    kv_heads=8,
    head_dim=128,
    vision_hidden=1152,
    vision_layers=27,
    vision_heads=16,
    vision_inner=4304,
    image_px=384,
    max_text_tokens=1280,
)
"""Qwen3-0.6B (arXiv:2505.09388) that sees through SigLIP so400m at 384 pixels (arXiv:2303.15343);
the numbers are those of their published config.json. A text and its image have at most 2,048
tokens, LLaVA-1.5's limit."""

QWEN3_SIZES = {"0.6B": QWEN3_0_6B, "1.7B": replace(QWEN3_0_6B, hidden=2048)}
"""Shapes of the published sizes by their names."""


def text_fields(shape: Shape) -> dict[str, Any]:
    """Return the fields of the language model's configuration, without its vocabulary."""
    language = shape.language
    return {
        "hidden_size": language.width,
        "intermediate_size": language.inner,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads,
        "head_dim": language.head_dim,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "initializer_range": shape.initializer_range,
        "bos_token_id": None,
        "eos_token_id": SPECIAL.index("<|im_end|>"),
        "pad_token_id": SPECIAL.index("<|endoftext|>"),
    }


def text_config(shape: Shape) -> Qwen3Config:
    """Return the language model's configuration."""
    return Qwen3Config(vocab_size=shape.vocabulary, **text_fields(shape))


def vision_config(shape: Shape) -> SiglipVisionConfig:
    """Return the vision encoder's configuration."""
    return SiglipVisionConfig(
        hidden_size=shape.vision_hidden,
        intermediate_size=shape.vision.inner,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.vision_heads,
        image_size=shape.image_px,
        patch_size=shape.patch_px,
    )
