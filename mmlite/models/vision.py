"""Vision encoders: pixels to patch features."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmlite.batch import Batch
from mmlite.models.timm_encoder import (
    create_encoder,
    feature_shape,
    fixed_size,
    keep_layers,
    load_encoder,
)
from mmlite.models.uninitialized import loaded_without_drawing
from mmlite.models.weightless import is_weightless


class VisionEncoder(nn.Module, ABC):
    """Pixels of tiles to features of patches. Subclass it for another kind of encoder.

    Attributes:
        num_patches: Patches of one tile.
        dim: Size of a patch's features.
        is_published: Whether its weights are read from where others can read them again; a run
            that does not train it leaves them out.
        left_out: Names of weights that it was built without on purpose; `init_from` takes a file
            that has them, and refuses one with others that the encoder has not.
    """

    is_published: bool = False
    left_out: frozenset[str] = frozenset()
    num_patches: int
    dim: int

    @abstractmethod
    def forward(
        self, pixels: Float[Tensor, "tile channel height width"]
    ) -> Float[Tensor, "tile patch vision_dim"]:
        """Encode tiles."""


class TimmVision(VisionEncoder):
    """Any encoder of timm whose features are patches.

    What an encoder has for classification, and what lies behind the chosen layer, is left out.

    Args:
        model_name: Name of a timm model, such as `vit_so400m_patch14_siglip_384`; a name on the
            Hugging Face hub, such as `hf-hub:timm/vit_so400m_patch14_siglip_384.webli`; or a local
            folder in the hub's layout (config.json and model.safetensors).
        pretrained: Whether the published weights are loaded, or those of the local folder.
        weights: Safetensors file with weights in timm's names; no network is needed.
        feature_layer: Layer whose output is taken as it is, counted from the end: -2 is the last
            but one, which LLaVA-OneVision takes of SigLIP; null: the last one's, normalised.
        dtype: Type of the weights.
        model_args: More arguments of `timm.create_model`, such as `img_size` or `embed_dim`.
    """

    def __init__(
        self,
        model_name: str,
        *,
        pretrained: bool = False,
        weights: str | None = None,
        feature_layer: int | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        model_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.is_published = pretrained or weights is not None
        is_loaded = self.is_published and not is_weightless()

        def build() -> nn.Module:
            made = create_encoder(
                model_name, pretrained=pretrained and is_loaded, model_args=model_args or {}
            )
            if weights is not None and is_loaded:
                load_encoder(made, weights)
            return made

        encoder: Any = loaded_without_drawing(build) if is_loaded else build()
        whole = frozenset(encoder.state_dict())
        keep_layers(encoder, feature_layer)
        cut = whole - encoder.state_dict().keys()
        self.left_out = frozenset(f"encoder.{name}" for name in cut)
        self.encoder = encoder.to(getattr(torch, dtype)).eval()
        self.fixed_size = fixed_size(encoder)
        size = self.fixed_size or tuple(encoder.pretrained_cfg["input_size"])
        _, self.num_patches, self.dim = feature_shape(self, size)

    def forward(
        self, pixels: Float[Tensor, "tile channel height width"]
    ) -> Float[Tensor, "tile patch vision_dim"]:
        """Return patch features; class and register tokens are dropped."""
        if self.fixed_size is not None and pixels.shape[1:] != self.fixed_size:
            raise ValueError(
                f"vision: got tiles of {tuple(pixels.shape[1:])}, allowed: {self.fixed_size}; set "
                f"processor.image.size_px to {self.fixed_size[1]}, or img_size in vision.model_args"
            )
        encoder: Any = self.encoder
        features = encoder.forward_features(pixels.to(next(encoder.parameters()).dtype))
        if features.ndim == 4:  # convolutional or windowed: a map of rows and columns
            if getattr(self.encoder, "output_fmt", "NCHW") == "NHWC":
                return features.flatten(1, 2)
            return features.flatten(2).transpose(1, 2)
        return features[:, getattr(self.encoder, "num_prefix_tokens", 0) :]


def encode_tiles(vision: VisionEncoder, batch: Batch) -> Float[Tensor, "tile patch vision_dim"]:
    """Return the vision features of a batch's tiles, encoding those that came as pixels."""
    features = batch.features
    if len(batch.pixels):
        encoded = vision(batch.pixels)
        kept = features.reshape(-1, *encoded.shape[1:]).to(encoded.dtype)
        features = torch.cat([kept, encoded]) if len(kept) else encoded
    return features[batch.tile_order]
