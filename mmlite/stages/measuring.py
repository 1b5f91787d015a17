"""Means over a whole validation or test, of all processes."""

import torch
from lightning import LightningModule
from torch import Tensor

from mmlite.parallel import summed


class Means:
    """Sums and numbers of terms by name, divided when all is measured.

    Lightning's own weighted means divide by the average number of terms of a process, rounded down:
    two processes that got 12 and 11 right of 12 and 11 would have a score of 23 / 22.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[Tensor, int]]] = {}

    def start(self) -> None:
        """Forget what was measured."""
        self._parts = {}

    def add(self, name: str, total: Tensor | float, count: int) -> None:
        """Add a batch.

        Args:
            name: Of the mean.
            total: Sum over the batch.
            count: Number of terms in the sum.
        """
        tensor = total.detach() if isinstance(total, Tensor) else torch.tensor(total).double()
        self._parts.setdefault(name, []).append((tensor, count))

    def values(self) -> dict[str, float]:
        """Return the means that have a term; every process must call it."""
        own = {
            name: [
                float(torch.stack([total for total, _ in parts]).cpu().double().sum()),
                float(sum(count for _, count in parts)),
            ]
            for name, parts in self._parts.items()
        }
        return {name: total / count for name, (total, count) in summed(own).items() if count}


class MeasuringModule(LightningModule):
    """A LightningModule that logs means over a whole validation or test."""

    def __init__(self) -> None:
        super().__init__()
        self._means = Means()

    def log_mean(self, name: str, total: Tensor | float, count: int) -> None:
        """Log a mean over a whole validation or test, and over all processes.

        Args:
            name: Such as `val/loss`.
            total: Sum over a batch.
            count: Number of terms in the sum.
        """
        self._means.add(name, total, count)

    def on_validation_epoch_start(self) -> None:
        self._means.start()

    def on_validation_epoch_end(self) -> None:
        self._log_means()

    def on_test_epoch_start(self) -> None:
        self._means.start()

    def on_test_epoch_end(self) -> None:
        self._log_means()

    def _log_means(self) -> None:
        for name, value in self._means.values().items():  # the same on every process
            self.log(name, value, prog_bar=True, sync_dist=True)
