"""The cache of keys and values while decoding: grows without being copied for each token."""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM_TOKENS = 64
"""Tokens that a layer makes room for at a time."""


class RoomyLayer(DynamicLayer):
    """A layer of transformers' dynamic cache that makes room ahead.

    Why it differs from its base: that copies all keys and values for each new token.
    """

    _room: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values; return all of them as views of what there is room for."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, new = self.get_seq_length(), key_states.shape[-2]
        if self._room is None or old + new > self._room[0].shape[-2]:
            size = old + new + ROOM_TOKENS
            self._room = (
                _grown(self.keys, key_states, old, size),
                _grown(self.values, value_states, old, size),
            )
        keys, values = self._room
        keys[..., old : old + new, :] = key_states
        values[..., old : old + new, :] = value_states
        self.keys, self.values = keys[..., : old + new, :], values[..., : old + new, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._room = None  # of the rows there were


def _grown(there: Tensor | None, new: Tensor, old: int, size: int) -> Tensor:
    rows, heads, _, dim = new.shape
    room = torch.empty(rows, heads, size, dim, dtype=new.dtype, device=new.device)
    if old and there is not None:
        room[..., :old, :] = there
    return room


def roomy_cache(config: PreTrainedConfig) -> DynamicCache:
    """Return an empty cache for a model; layers of other kinds than the usual stay theirs."""
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache
