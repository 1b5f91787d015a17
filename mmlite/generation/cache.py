"""The cache of keys and values while decoding: grows without being copied for each token."""

from math import inf
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

from mmlite.models import LanguageModel

ROOM_TOKENS = 64
"""Tokens that a layer makes room for at a time."""


class RoomyLayer(DynamicLayer):
    """A layer of transformers' dynamic cache that makes room ahead.

    Why it differs from its base: that copies all keys and values for each new token.
    """

    _room: tuple[Tensor, Tensor] | None = None
    _place: Tensor | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values; return all of them as views of what there is room for."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._place is not None:
            assert self._room is not None, "a fixed layer has its room"
            for room, states in zip(self._room, (key_states, value_states), strict=True):
                room.index_copy_(-2, self._place, states)
            return self._room
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

    def fix(self, place: Tensor, size: int) -> None:
        """Make room once for so many tokens, and return all of it from now on.

        What is beyond the tokens is zero: whoever looks must leave it out by a mask.

        Args:
            place: Where the next token goes; one number on the layer's device, which whoever fixed
                the layer counts on.
            size: Tokens, those that are there included.
        """
        old = self.get_seq_length()
        keys, values = self.keys, self.values
        assert keys is not None, "prompts were read before"
        assert values is not None, "keys have values"
        self._room = (_grown(keys, keys, old, size), _grown(values, values, old, size))
        for room in self._room:
            room[..., old:, :] = 0
        self._place = place
        self.keys, self.values = self._room

    def release(self, length: int) -> None:
        """Hold so many tokens, and grow again by what is added; a layer that is not fixed stays."""
        if self._place is None or self._room is None:
            return
        keys, values = self._room
        self._place = None
        self.keys, self.values = keys[..., :length, :], values[..., :length, :]

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


def keeps_keys_alone(cache: Cache) -> bool:
    """Whether all that is kept are keys and values, of which rows can be selected.

    Not the states of linear attention, convolutions and the like, which padding goes into.
    """
    kinds = ("conv_states", "recurrent_states")
    return not any(hasattr(layer, kind) for layer in cache.layers for kind in kinds)


def positions_depend_on_length(language: LanguageModel) -> bool:
    """Whether what a position is depends on how much is read (dynamic scaling, LongRoPE)."""
    changes = {kind.get("rope_type", kind.get("type")) for kind in _ropes(language)}
    return bool(changes & {"dynamic", "longrope"})


def _ropes(language: LanguageModel) -> list[dict[str, Any]]:
    """Return the settings of rotary positions, of all kinds of layers."""
    rope = getattr(language.model.config, "rope_parameters", None) or {}
    return [rope, *(value for value in rope.values() if isinstance(value, dict))]


def lengths_alike_from(language: LanguageModel) -> float:
    """Return from which length on a prompt beside longer ones would be read otherwise than alone.

    Of all lengths where states are kept; from where positions change where they depend on the
    length, which is what the model was trained for at first; never, else.
    """
    config: Any = language.model.config
    if not keeps_keys_alone(roomy_cache(config)):
        return 0.0
    if not positions_depend_on_length(language):
        return inf
    name = "original_max_position_embeddings"
    told = [kind.get(name) for kind in _ropes(language)] + [getattr(config, name, None)]
    known = [n for n in told if n] or [getattr(config, "max_position_embeddings", 0)]
    return float(min(known))


WINDOWS = (
    *("sliding_window", "attention_window", "window_size", "attention_chunk_size"),
    *("attention_layers", "attention_types"),
)
"""Fields of configurations without `layer_types` by which layers may see the last tokens alone."""


def sees_by_mask(language: LanguageModel) -> bool:
    """Whether tokens see all that is kept but what a mask hides, wherever in the cache it is.

    Not where layers see the last tokens alone or keep something else, nor where distances are made
    from the mask (ALiBi) or attention takes none.
    """
    config: Any = language.model.config
    is_plain = all(type(layer) is RoomyLayer for layer in roomy_cache(config).layers)
    takes_masks = config._attn_implementation in ("sdpa", "eager")
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        sees_all = not any(getattr(config, name, None) for name in WINDOWS)
    else:
        sees_all = set(kinds) == {"full_attention"}
    has_distances = getattr(config, "alibi", False)
    return is_plain and takes_masks and sees_all and language.is_causal and not has_distances
