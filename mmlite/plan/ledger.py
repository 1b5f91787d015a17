"""Ledger: which bytes are held at a time, by what they are for, and the most there ever were."""

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

TERMS = ("weights", "gradients", "optimizer", "activations", "logits", "images")
"""What memory is for. Activations are those of the language model, or of a model that has none;
logits include the loss; images include the vision encoder's and the projector's activations."""


@dataclass
class Peak:
    """The most bytes that were held, by term.

    Attributes:
        together: When the sum of all terms was highest.
        alone: Of each term by itself, whenever that was.
    """

    together: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)

    def look(self, held: dict[str, int]) -> None:
        """Take what is held now into account."""
        if sum(held.values()) > sum(self.together.values()):
            self.together = held
        self.alone = {term: max(size, self.alone.get(term, 0)) for term, size in held.items()}


class Ledger:
    """Bytes of tensors by term, from when they are made until nothing holds them."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, str]] = {}
        self._sums: Counter[str] = Counter()
        self._peak: Peak | None = None

    def hold(self, tensor: Tensor, term: str) -> None:
        """Count a tensor's storage, unless it is counted already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held:
            return
        self._held[key] = (storage.nbytes(), term)
        self._sums[term] += storage.nbytes()
        weakref.finalize(storage, self._drop, key)
        if self._peak is not None:
            self._peak.look(self.held)

    def rename(self, tensor: Tensor, term: str) -> None:
        """Count a tensor's storage under another term from now on."""
        self.hold(tensor, term)
        key = tensor.untyped_storage()._cdata
        size, before = self._held[key]
        self._held[key] = (size, term)
        self._sums[before] -= size
        self._sums[term] += size

    @property
    def held(self) -> dict[str, int]:
        """Bytes held now, by term."""
        return {term: self._sums[term] for term in TERMS}

    @contextmanager
    def watched(self) -> Iterator[Peak]:
        """Yield what tells the most that is held from now until the end."""
        self._peak = Peak()
        self._peak.look(self.held)
        try:
            yield self._peak
        finally:
            self._peak = None

    def _drop(self, key: int) -> None:
        size, term = self._held.pop(key)
        self._sums[term] -= size
