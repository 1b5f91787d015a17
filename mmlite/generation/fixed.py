"""Decoding steps of one shape, which a GPU repeats by itself (a CUDA graph).

Step by step, Python gives a GPU a thousand small kernels for each token, which takes longer than
the GPU takes for them. Recorded once, they are started as one; for that, all shapes have to stay:
the cache is as long as it will get, and a mask hides what is not there yet.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from mmlite.generation.cache import RoomyLayer
from mmlite.models import VisionLanguageModel
from mmlite.models.quantization import packed_layers

ROOM_TOKENS = 512
"""Tokens that there is room for at a time; when it is full, steps are fixed anew."""

ALIGNED_TOKENS = 8
"""Masks of PyTorch's attention kernels are read in pieces of so many."""


def can_fix(model: VisionLanguageModel, cache: DynamicCache) -> bool:
    """Whether a model's steps have fixed shapes, its kernels are recorded, and a mask is taken.

    Not those whose layers keep other things than all keys and values, and not weights of 4 bits.
    """
    language = model.language
    is_plain = all(type(layer) is RoomyLayer for layer in cache.layers)
    takes_masks = language.model.config._attn_implementation == "sdpa" and language.is_causal
    return is_plain and takes_masks and not packed_layers(language)


class FixedSteps:
    """Steps that all have the shapes of the first one.

    Args:
        model: In evaluation mode.
        cache: Of its rows; its layers are fixed.
        mask: True where a row has a token, now or later.
        positions: Of the next token of each row.
        place: Where in the cache it goes.
        most_steps: So many are wanted, at most.
        is_recorded: Whether a GPU repeats them by itself.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        cache: DynamicCache,
        *,
        mask: Bool[Tensor, "row key"],
        positions: Int[Tensor, "row 1"],
        place: int,
        most_steps: int,
        is_recorded: bool,
    ) -> None:
        self.left = min(most_steps, ROOM_TOKENS)
        self._model = model
        self._cache = cache
        self._length = place
        size = place + self.left
        size += -size % ALIGNED_TOKENS
        device = positions.device
        self._tokens = torch.zeros_like(positions[:, 0])
        self._positions = positions.clone()
        self._place = torch.tensor([place], device=device)
        self._columns = torch.arange(size, device=device)
        self._mask = pad(mask[:, :size], (0, max(0, size - mask.shape[1])), value=False)
        self._is_recorded = is_recorded
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: Tensor | None = None
        for layer in self._layers:
            layer.fix(self._place, size)

    @property
    def _layers(self) -> Sequence[Any]:
        return self._cache.layers

    def __call__(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row vocabulary"]:
        """Return the logits behind one more token of each row; good until the next call."""
        assert self.left > 0, "there is room for it"
        self._tokens.copy_(tokens)
        if self._graph is not None and self._logits is not None:
            self._graph.replay()
            logits = self._logits
        else:
            logits = self._step()
            if self._is_recorded:
                self._record()
        self.left -= 1
        self._length += 1
        return logits

    def release(self) -> None:
        """Give the cache back to steps of other shapes."""
        for layer in self._layers:
            layer.release(self._length)
        self._graph = self._logits = None

    def _step(self) -> Float[Tensor, "row vocabulary"]:
        """Go on by the tokens there are; where the next ones go is counted on the device."""
        language = self._model.language
        embeddings = language.embed(self._tokens.unsqueeze(-1))
        seen = self._mask & (self._columns <= self._place)
        hidden = language(embeddings, seen[:, None, None], self._positions, self._cache)[:, -1]
        logits = language.logits(hidden)
        self._place.add_(1)
        self._positions.add_(1)
        return logits

    def _record(self) -> None:
        """Note the kernels of a step, which are not run meanwhile."""
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as one that pins batches, may go on meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._logits = self._step()
        self._graph = graph
