"""Decoding steps of one shape, which a GPU repeats by itself (a CUDA graph).

Step by step, Python gives a GPU a thousand small kernels for each token, which takes longer than
the GPU takes for them. Recorded once, they are started as one; for that, all shapes have to stay:
the cache is as long as it will get, and a mask hides what is not there yet.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from mmlite.generation.cache import sees_by_mask
from mmlite.models import VisionLanguageModel
from mmlite.models.quantization import packed_layers

ROOM_TOKENS = 512
"""Tokens that there is room for at a time; when it is full, steps are fixed anew."""

LEAST_STEPS = 16
"""Steps that must be wanted still; recording takes a GPU about as long as two."""

ALIGNED_TOKENS = 8
"""Masks of PyTorch's attention kernels are read in pieces of so many."""

_refused: WeakSet[Any] = WeakSet()  # models whose steps could not be fixed


class CannotFixError(RuntimeError):
    """A model's steps cannot have fixed shapes, or cannot be recorded."""


def can_fix(model: VisionLanguageModel) -> bool:
    """Whether a model's steps may have fixed shapes.

    Not those of weights of 4 bits, nor those of attention without kernels of its own. What else
    cannot be recorded shows at the first try, and is not tried again.
    """
    language = model.language
    is_fused = language.model.config._attn_implementation == "sdpa"
    is_tried = language not in _refused and not packed_layers(language)
    return is_fused and is_tried and sees_by_mask(language)


class FixedSteps:
    """Steps that all have the shapes of the first one.

    Args:
        model: In evaluation mode.
        cache: Of its rows; its layers are fixed from the first step until `release`.
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
        self._layers: Sequence[Any] = cache.layers
        self._cache = cache
        self._length = place
        size = place + self.left
        self._size = size + -size % ALIGNED_TOKENS
        device = positions.device
        self._tokens = torch.zeros_like(positions[:, 0])
        self._positions = positions.clone()
        self._place = torch.tensor([place], device=device)
        self._columns = torch.arange(self._size, device=device)
        room = max(0, self._size - mask.shape[1])
        self._mask = pad(mask[:, : self._size], (0, room), value=False)
        self._is_recorded = is_recorded
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: Tensor | None = None
        self._is_begun = False

    def __call__(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row vocabulary"]:
        """Return the logits behind one more token of each row; good until the next call.

        Raises:
            CannotFixError: At the first step; the cache is released, and holds what it held before.
        """
        assert self.left > 0, "there is room for it"
        self._tokens.copy_(tokens)
        if self._graph is not None and self._logits is not None:
            self._graph.replay()
            logits = self._logits
        elif self._is_begun:
            logits = self._step()
        else:
            logits = self._begin()
        self.left -= 1
        self._length += 1
        return logits

    def release(self) -> None:
        """Give the cache back to steps of other shapes."""
        for layer in self._layers:
            layer.release(self._length)
        self._graph = self._logits = None

    def _begin(self) -> Float[Tensor, "row vocabulary"]:
        """Fix the cache, do the first step, and record the others."""
        try:
            for layer in self._layers:
                layer.fix(self._place, self._size)
            with _no_waiting() if self._is_recorded else nullcontext():
                logits = self._step()
            if self._is_recorded and self.left > 1:
                self._record()
        except torch.OutOfMemoryError as error:
            self.release()
            raise CannotFixError("out of memory") from error
        except torch.AcceleratorError:  # the device itself is lost
            raise
        except Exception as error:  # whatever a model does that takes shapes or a mask for granted
            self.release()
            _refused.add(self._model.language)
            told = " ".join(str(error).split())[:200]
            raise CannotFixError(f"{type(error).__name__}: {told}") from error
        self._is_begun = True
        return logits

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
        device = self._tokens.device
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device):
            torch.cuda.synchronize()
            with torch.cuda.stream(torch.cuda.Stream(device)):
                # Other threads, such as one that pins batches, may go on meanwhile.
                graph.capture_begin(capture_error_mode="thread_local")
                try:
                    self._logits = self._step()
                finally:
                    graph.capture_end()
        self._graph = graph


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let whatever waits for a GPU fail: in a recording it would, and leave CUDA in disorder."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its being a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
