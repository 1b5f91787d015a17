"""Batch: what the processor hands to a model, a plain dataclass of tensors."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmlite.layout import Layout
from mmlite.records import Example

IGNORE_INDEX = -100
"""Label of tokens that are not learnt; the default `ignore_index` of PyTorch's cross entropy."""


@dataclass
class Batch:
    """Token sequences with the images they mention.

    Images are cut into tiles and all tiles of the batch lie on one axis, in the order of their
    placeholders. A tile comes either as pixels or, where its vision features were cached, as
    features; `tile_order` says which: it indexes the features followed by the pixels.

    Attributes:
        input_ids: Token ids.
        labels: Token ids to learn, `IGNORE_INDEX` elsewhere; not shifted.
        attention_mask: True where there is a token.
        pixels: Normalised tiles that still have to be encoded; size 0 if none.
        features: Encoded tiles from the cache; size 0 if none.
        tile_order: Position of each tile in `features` followed by `pixels`.
        pixel_keys: Content key of each tile in `pixels`, by which its features are cached.
        examples: What the rows were made of; empty where nobody asks for it.
        layouts: How the tiles of each image are put together; empty where one follows the other.
        position_ids: Place of each token within its own example, where several examples share a
            row (`mmlite.packing`); None where every row is one example.
        pads_left: Whether padding stands before the tokens of a row, as generation wants it. Where
            it stands behind them, causal attention never sees it and needs no mask.
    """

    input_ids: Int[Tensor, "batch token"]
    labels: Int[Tensor, "batch token"]
    attention_mask: Bool[Tensor, "batch token"]
    pixels: Float[Tensor, "pixel_tile channel height width"]
    features: Float[Tensor, "feature_tile patch vision_dim"]
    tile_order: Int[Tensor, " tile"]
    pixel_keys: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default=(), repr=False)
    layouts: tuple[Layout, ...] = ()
    position_ids: Int[Tensor, "batch token"] | None = None
    pads_left: bool = False

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Move every tensor; Lightning calls this instead of looking into the records.

        Pinned tensors are copied to a GPU without waiting for it.
        """
        is_gpu = torch.device(device).type == "cuda"
        return self.map(
            lambda t: t.to(device, non_blocking=non_blocking or (is_gpu and t.is_pinned()))
        )

    def pin_memory(self) -> "Batch":
        """Pin every tensor; the data loader calls this when asked to."""
        return self.map(lambda tensor: tensor.pin_memory())

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Change every tensor, whatever its type; records stay as they are."""
        names = ["input_ids", "labels", "attention_mask", "pixels", "features", "tile_order"]
        changed = {name: change(getattr(self, name)) for name in names}
        if self.position_ids is not None:
            changed["position_ids"] = change(self.position_ids)
        return replace(self, **changed)

    def with_features(self, encoded: Float[Tensor, "pixel_tile patch vision_dim"]) -> "Batch":
        """Return the batch with its pixels replaced by their vision features."""
        features = torch.cat([self.features.reshape(-1, *encoded.shape[1:]), encoded])
        return replace(self, features=features, pixels=self.pixels[:0], pixel_keys=())

    @property
    def num_supervised(self) -> int:
        """Number of tokens that are learnt."""
        return int((self.labels[:, 1:] != IGNORE_INDEX).sum())

    @property
    def num_tokens(self) -> int:
        """Number of tokens without padding."""
        return int(self.attention_mask.sum())

    @property
    def num_sequences(self) -> int:
        """Number of examples, several of which share a row where they are packed."""
        if self.position_ids is None:
            return len(self.input_ids)
        return int((self.attention_mask & (self.position_ids == 0)).sum())
