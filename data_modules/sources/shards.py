"""Rows that lie in shards: cheap to read a shard at a time, and shuffled so."""

from collections.abc import Callable, Sequence

import numpy as np

from data_modules.sources.base import Row
from data_modules.sources.lazy import LazyRows


class ShardedRows(LazyRows):
    """A sequence of rows, one shard after the other.

    Args:
        sizes: Rows of each shard.
        read: Takes a shard's number and a row's number in it and returns the row, the same one
            every time.
        shards_at_once: Shards whose rows are shuffled together.
    """

    def __init__(
        self, sizes: Sequence[int], read: Callable[[int, int], Row], *, shards_at_once: int
    ) -> None:
        self.ends = np.cumsum([0, *sizes])
        self.read_shard = read
        self.shards_at_once = shards_at_once
        super().__init__(int(self.ends[-1]), self._read)

    def shards_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the shard of each row."""
        return np.searchsorted(self.ends, rows, side="right") - 1

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return rows in a random order that uses `shards_at_once` shards at a time.

        Shards come in random order; the rows of so many of them are shuffled together, then those
        of the next.

        Args:
            rows: Numbers of rows.
            rng: Decides the order.
        """
        turn = rng.permutation(len(self.ends) - 1)
        place = np.empty_like(turn)
        place[turn] = np.arange(len(turn))
        group = place[self.shards_of(rows)] // self.shards_at_once
        return rows[np.lexsort([rng.random(len(rows)), group])]

    def _read(self, row: int) -> Row:
        shard = int(np.searchsorted(self.ends, row, side="right")) - 1
        return self.read_shard(shard, row - int(self.ends[shard]))
