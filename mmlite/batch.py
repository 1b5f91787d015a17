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


@dataclass(frozen=True, slots=True)
class Counts:
    """What a batch holds, known without asking the device it lies on.

    Attributes:
        tokens: Without padding.
        sequences: Examples.
    """

    tokens: int
    sequences: int


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
        image_token_id: Id of the placeholder token, if that is known.
        counts: What was counted before the batch left the CPU (`counted`): to be told a number by a
            GPU is to wait until it has done all that it was given.
        supervised: With them, the places of the tokens from which one is learnt, counted through
            all rows.
        image_places: With them, those of the placeholders, if their id is known.
        convert: What `to` still has to do to each tensor once it is there, such as another type.
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
    image_token_id: int | None = None
    counts: Counts | None = None
    supervised: Int[Tensor, " supervised"] | None = None
    image_places: Int[Tensor, " image_token"] | None = None
    convert: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Move every tensor; Lightning calls this instead of looking into the records.

        Pinned tensors are copied to a GPU without waiting for it.
        """
        kind = torch.device(device).type
        batch = self if kind == "cpu" else self.counted()
        moved = batch.map(
            lambda t: t.to(device, non_blocking=non_blocking or (kind == "cuda" and t.is_pinned()))
        )
        if moved.convert is None:
            return moved
        return replace(moved.map(moved.convert), convert=None)

    def pin_memory(self) -> "Batch":
        """Pin every tensor; the data loader calls this when asked to."""
        return self.counted().map(lambda tensor: tensor.pin_memory())

    def counted(self) -> "Batch":
        """Return the batch with its counts, and the places of what is learnt and of images."""
        if self.counts is not None:
            return self
        counts = Counts(self.num_tokens, self.num_sequences)
        is_learnt = torch.zeros_like(self.attention_mask)
        is_learnt[:, :-1] = self.labels[:, 1:] != IGNORE_INDEX
        images = None
        if self.image_token_id is not None:
            images = places_of(self.input_ids == self.image_token_id)
        return replace(self, counts=counts, supervised=places_of(is_learnt), image_places=images)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Change every tensor, whatever its type; records stay as they are."""
        names = ["input_ids", "labels", "attention_mask", "pixels", "features", "tile_order"]
        changed = {name: change(getattr(self, name)) for name in names}
        for name in ("position_ids", "supervised", "image_places"):
            if getattr(self, name) is not None:
                changed[name] = change(getattr(self, name))
        return replace(self, **changed)

    def with_features(self, encoded: Float[Tensor, "pixel_tile patch vision_dim"]) -> "Batch":
        """Return the batch with its pixels replaced by their vision features."""
        features = torch.cat([self.features.reshape(-1, *encoded.shape[1:]), encoded])
        return replace(self, features=features, pixels=self.pixels[:0], pixel_keys=())

    @property
    def num_supervised(self) -> int:
        """Number of tokens that are learnt."""
        if self.supervised is not None:
            return len(self.supervised)
        return int((self.labels[:, 1:] != IGNORE_INDEX).sum())

    @property
    def num_tokens(self) -> int:
        """Number of tokens without padding."""
        if self.counts is not None:
            return self.counts.tokens
        return int(self.attention_mask.sum())

    @property
    def num_sequences(self) -> int:
        """Number of examples, several of which share a row where they are packed."""
        if self.counts is not None:
            return self.counts.sequences
        if self.position_ids is None:
            return len(self.input_ids)
        return int((self.attention_mask & (self.position_ids == 0)).sum())


def places_of(chosen: Bool[Tensor, "batch token"]) -> Int[Tensor, " place"]:
    """Return the places of what is chosen, counted through all rows."""
    return chosen.flatten().nonzero().flatten()
