"""Mixing sources: weights, limits and replay, in an order decided by the seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_modules.sources.base import Row, Source
from data_modules.sources.named import named_rows
from data_modules.sources.shards import ShardedRows


@dataclass
class Mixed:
    """One source in a mixture.

    Attributes:
        source: Where rows come from.
        weight: Times each row is seen per epoch; a fraction takes a new random share each epoch.
        limit: Use only so many rows, a random choice that is the same in every epoch; null: all.
        replay: Instead of a weight, the share of all rows in an epoch that comes from this
            source, from 0 to below 1: earlier data, so that it is not forgotten.
    """

    source: Source
    weight: float = 1.0
    limit: int | None = None
    replay: float | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.weight <= 0:
            problems.append(f"weight: got {self.weight}, allowed: above 0")
        if self.limit is not None and self.limit < 1:
            problems.append(f"limit: got {self.limit}, allowed: 1 or more, or null")
        if self.replay is not None and not 0 <= self.replay < 1:
            problems.append(f"replay: got {self.replay}, allowed: 0 to below 1, or null")
        if problems:
            raise ValueError(f"data.train ({self.source.name}): " + "; ".join(problems))


class Mixture:
    """Rows of several sources as one list per epoch.

    Rows that lie in shards come in an order that keeps to a few shards at a time; their limit and
    their fraction take whole shards as far as possible.

    Args:
        mixed: The sources.
        seed: Decides limits and the order of each epoch.
    """

    def __init__(self, mixed: Sequence[Mixed], *, seed: int) -> None:
        if not mixed or all(m.replay is not None for m in mixed):
            raise ValueError(
                f"data.train: got {len(mixed)} sources, all of them replay, allowed: at least one "
                "source without replay"
            )
        self.seed = seed
        self.mixed = tuple(mixed)
        self.named = named_rows([m.source for m in mixed], "train")
        self.rows = [named.rows for named in self.named]
        self.chosen = [self._choose(number) for number in range(len(mixed))]
        self.counts = _counts(mixed, [len(chosen) for chosen in self.chosen])

    def __len__(self) -> int:
        return sum(self.counts)

    def order(self, epoch: int) -> np.ndarray:
        """Return source and row of every row of an epoch, shuffled; row x 2."""
        rng = np.random.default_rng([self.seed, epoch])
        parts = []
        for number, (chosen, count) in enumerate(zip(self.chosen, self.counts, strict=True)):
            whole, rest = divmod(count, len(chosen))
            picked = np.concatenate([np.tile(chosen, whole), rng.permutation(chosen)[:rest]])
            parts.append(np.stack([np.full(count, number), picked], axis=1))
        order = np.concatenate(parts)
        order = order[rng.permutation(len(order))]
        for number, rows in enumerate(self.rows):
            if isinstance(rows, ShardedRows):  # shuffled by shards instead, in the same places
                own = np.random.default_rng([self.seed, epoch, number])
                order[order[:, 0] == number, 1] = self._by_shards(number, rows, own)
        return order

    def row(self, place: Sequence[int] | np.ndarray) -> Row:
        """Return a row by its place in `order`."""
        source, row = place
        return self.named[source].read(int(row))

    def _by_shards(self, number: int, rows: ShardedRows, rng: np.random.Generator) -> np.ndarray:
        count, chosen = self.counts[number], self.chosen[number]
        passes = [rows.shuffled(chosen, rng) for _ in range(-(-count // len(chosen)))]
        return np.concatenate([*passes, chosen[:0]])[:count]

    def _choose(self, number: int) -> np.ndarray:
        mixed, rows = self.mixed[number], self.rows[number]
        size = len(rows)
        if size == 0:
            raise ValueError(
                f"data.train ({mixed.source.name}): got no rows in split train, allowed: 1 or more"
            )
        if mixed.limit is None or mixed.limit >= size:
            return np.arange(size)
        rng = np.random.default_rng([self.seed, number, mixed.limit])
        if isinstance(rows, ShardedRows):
            return np.sort(rows.shuffled(np.arange(size), rng)[: mixed.limit])
        return np.sort(rng.choice(size, mixed.limit, replace=False))


def _counts(mixed: Sequence[Mixed], sizes: Sequence[int]) -> list[int]:
    """Return how many rows of each source an epoch has."""
    share = sum(m.replay for m in mixed if m.replay is not None)
    if share >= 1:
        raise ValueError(f"data.train: got replay of {share} in all, allowed: below 1")
    weighed = [
        0 if m.replay is not None else max(1, round(m.weight * size))
        for m, size in zip(mixed, sizes, strict=True)
    ]
    total = sum(weighed) / (1 - share)
    return [
        count if m.replay is None else round(total * m.replay)
        for m, count in zip(mixed, weighed, strict=True)
    ]
