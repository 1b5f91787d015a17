"""Projectors: patch features to embeddings of the language model."""

from abc import ABC, abstractmethod
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Projector(nn.Module, ABC):
    """Patch features to token embeddings. Subclass it for another projector.

    A projector is built with the two sizes it connects, `vision_dim` and `text_dim`; a subclass
    adds its own arguments after them and gives each a default.

    Attributes:
        image_newline: The learnt token that ends each row of an image, where images are put
            together of tiles (`mmlite.images.AnyRes`); None elsewhere.
    """

    image_newline: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("image_newline", None)

    def add_newline(self, text_dim: int) -> None:
        """Give the projector its `image_newline`, with random numbers of an embedding's scale."""
        self.image_newline = nn.Parameter(torch.randn(text_dim) / text_dim**0.5)

    @abstractmethod
    def num_tokens(self, num_patches: int) -> int:
        """Return how many tokens come out of a tile with so many patches."""

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile image_token text_dim"]:
        """Project tiles."""


class LinearProjector(Projector):
    """One linear layer per patch (LLaVA, arXiv:2304.08485, sec. 4.1)."""

    def __init__(self, vision_dim: int, text_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(vision_dim, text_dim)

    def num_tokens(self, num_patches: int) -> int:
        """One token per patch."""
        return num_patches

    def forward(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile image_token text_dim"]:
        """Project each patch."""
        return self.layer(features)


class MLPProjector(Projector):
    """Two layers with a GELU per patch (LLaVA-1.5, arXiv:2310.03744, sec. 3.2).

    Args:
        vision_dim: Size of a patch's features.
        text_dim: Size of a token's embedding.
        hidden_dim: Size between the layers; null takes `text_dim`.
    """

    def __init__(self, vision_dim: int, text_dim: int, hidden_dim: int | None = None) -> None:
        super().__init__()
        hidden_dim = hidden_dim or text_dim
        self.layers = nn.Sequential(
            nn.Linear(vision_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, text_dim)
        )

    def num_tokens(self, num_patches: int) -> int:
        """One token per patch."""
        return num_patches

    def forward(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile image_token text_dim"]:
        """Project each patch."""
        return self.layers(features)


class PixelShuffleMLP(Projector):
    """Neighbouring patches side by side, then two layers (InternVL, arXiv:2404.16821, sec. 3.1).

    `shuffle` x `shuffle` patches become one token, so an image costs fewer tokens. Why it differs:
    the merged features are normalised first, which keeps tiny models from starting saturated.

    Args:
        vision_dim: Size of a patch's features.
        text_dim: Size of a token's embedding.
        shuffle: Patches merged along each axis; must divide the patch grid.
        hidden_dim: Size between the layers; null takes `text_dim`.
    """

    def __init__(
        self, vision_dim: int, text_dim: int, shuffle: int = 2, hidden_dim: int | None = None
    ) -> None:
        super().__init__()
        hidden_dim = hidden_dim or text_dim
        merged_dim = vision_dim * shuffle**2
        self.shuffle = shuffle
        self.layers = nn.Sequential(
            nn.LayerNorm(merged_dim),
            nn.Linear(merged_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, text_dim),
        )

    def num_tokens(self, num_patches: int) -> int:
        """One token per merged square of patches."""
        side = isqrt(num_patches)
        if side**2 != num_patches or side % self.shuffle:
            raise ValueError(
                f"projector.shuffle: got {self.shuffle} for {num_patches} patches, allowed: a "
                "square patch grid whose side is a multiple of shuffle"
            )
        return (side // self.shuffle) ** 2

    def forward(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile image_token text_dim"]:
        """Merge, then project each merged square."""
        return self.layers(merge_patches(features, self.shuffle))


def merge_patches(
    features: Float[Tensor, "tile patch vision_dim"], shuffle: int
) -> Float[Tensor, "tile merged merged_dim"]:
    """Put the features of each `shuffle` x `shuffle` square of patches side by side."""
    tiles, patches, dim = features.shape
    side = isqrt(patches) // shuffle
    grid = features.reshape(tiles, side, shuffle, side, shuffle, dim)
    merged: torch.Tensor = grid.permute(0, 1, 3, 2, 4, 5)
    return merged.reshape(tiles, side**2, shuffle**2 * dim)
