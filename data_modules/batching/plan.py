"""Planning batches: by length or packed, under a budget, shared by all processes.

Planning encodes text only; images are loaded later, by the process and worker that needs them.
Every process plans the same global batches and takes its share of each, so that two processes
train on exactly what one process with twice the batch would.
"""

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self

from data_modules.batching.budget import BatchBudget, pack_by
from mmlite.batch import IGNORE_INDEX
from mmlite.processor import Encoded


class Places(Protocol):
    """What an epoch holds, in order, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Position:
    """Where a plan goes on: in an epoch, at a window of it, after some of the window's batches.

    Attributes:
        epoch: Its number, from 0.
        start: First place of the window, by its number in the epoch's order.
        left: Numbers of earlier places that wait for this window, since they filled no
            batch, or a row that was nearly empty.
        batches: Batches of the window that are done.
    """

    epoch: int = 0
    start: int = 0
    left: tuple[int, ...] = ()
    batches: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of plain values."""
        return {**asdict(self), "left": list(self.left)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a position from what `to_json` returned."""
        return cls(**{**value, "left": tuple(value.get("left", ()))})


@dataclass(frozen=True, slots=True)
class Planned:
    """This process's share of one global batch.

    Attributes:
        rows: Examples, in order.
        after: Where the plan goes on after this batch.
        sizes: How many examples each packed row holds; None where they are not packed.
    """

    rows: list[Encoded]
    after: Position
    sizes: tuple[int, ...] | None = None


Item = tuple[int, Encoded]
"""An encoded place and its number in the epoch's order."""

Bin = list[Item]
"""Examples of one row of a batch; just one where they are not packed."""


@dataclass(frozen=True)
class _Window:
    batches: list[list[Bin]]
    stop: int
    left: list[Item] = field(default_factory=list)


class _Ahead:
    """A window in the making; what is wrong with its rows is told when it is due."""

    def __init__(self, making: Generator[None, None, _Window]) -> None:
        self._making = making
        self._made: _Window | None = None
        self._error: Exception | None = None

    def make(self, places: int) -> None:
        """Encode so many places more, or what is left of them."""
        for _ in range(places):
            if self._made is not None or self._error is not None:
                return
            try:
                next(self._making)
            except StopIteration as end:
                self._made = end.value
            except Exception as error:
                self._error = error

    def window(self) -> _Window:
        """Return the window, once all of its places are encoded."""
        while self._made is None:
            if self._error is not None:
                raise self._error
            self.make(1)
        return self._made


class BatchPlan:
    """This process's share of each global batch, epoch after epoch.

    Args:
        places: Takes the epoch and returns what to encode, in order.
        encode: Encodes one place; None drops it.
        size: Number of places in an epoch.
        budget: Of one batch of one process.
        shuffle_seed: Decides the order of batches within a window; None keeps them in order.
        rank: Number of this process.
        processes: Number of processes.
        may_drop: Whether places may be dropped, so that the number of batches is not known.
    """

    def __init__(
        self,
        places: Callable[[int], Places],
        encode: Callable[[Any], Encoded | None],
        *,
        size: int,
        budget: BatchBudget,
        shuffle_seed: int | None = None,
        rank: int = 0,
        processes: int = 1,
        may_drop: bool = False,
    ) -> None:
        self.places = places
        self.encode = encode
        self.size = size
        self.budget = budget
        self.shuffle_seed = shuffle_seed
        self.rank = rank
        self.processes = processes
        self.may_drop = may_drop

    def __len__(self) -> int:
        if self.may_drop or not self.budget.has_fixed_size:
            raise TypeError("the number of batches depends on what is in them")
        return -(-self.size // (self.budget.batch_size * self.processes))

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[list[Encoded]]:
        """Yield the examples of this process's batches of an epoch.

        Args:
            epoch: Its number, from 0.
            skip: How many batches to leave out at its start.
        """
        for planned in self.planned(Position(epoch, batches=skip)):
            yield planned.rows

    def planned(self, at: Position) -> Iterator[Planned]:
        """Yield this process's batches from a position to the end of its epoch.

        The windows before the position are neither read nor encoded.
        """
        ahead: Planned | None = None
        for batch, after in self._global_batches(at):
            if ahead is not None:
                yield ahead
            ahead = self._share(batch, after)
        if ahead is not None:  # what comes after an epoch's last batch is the next epoch
            yield replace(ahead, after=Position(at.epoch + 1))

    def _share(self, batch: list[Bin], after: Position) -> Planned:
        share = [[row for _, row in items] for items in batch[self.rank :: self.processes]]
        share = share or [[_unlearnt(batch[0][0][1])]]
        rows = [row for items in share for row in items]
        is_packed = self.budget.pack_tokens is not None
        return Planned(rows, after, tuple(len(items) for items in share) if is_packed else None)

    def _global_batches(self, at: Position) -> Iterator[tuple[list[Bin], Position]]:
        places = self.places(at.epoch)
        left, start, skip = list(self._encoded(places, at.left)), at.start, at.batches
        ahead = _Ahead(self._window(places, left, start, at.epoch))
        while start < len(places):
            window = ahead.window()
            here = Position(at.epoch, start, tuple(number for number, _ in left))
            ahead = _Ahead(self._window(places, window.left, window.stop, at.epoch))
            for done, batch in enumerate(window.batches, start=1):
                if done > skip:
                    # With each batch a share of the next window, not all at once between two.
                    ahead.make(sum(map(len, batch)))
                    yield batch, replace(here, batches=done)
            skip = max(0, skip - len(window.batches))
            left, start = window.left, window.stop

    def _window(
        self, places: Places, left: Sequence[Item], start: int, epoch: int
    ) -> Generator[None, None, _Window]:
        """Plan a window; yields after each place that it has encoded."""
        rng = None
        if self.shuffle_seed is not None:
            rng = random.Random(f"{self.shuffle_seed} {epoch} {start}")
        if self.budget.pack_tokens is not None:
            capacity = self.budget.pack_tokens
            return (yield from self._packed_window(places, left, start, rng, capacity))
        step = self.budget.batch_size * self.processes * self.budget.window_batches
        stop = min(start + step, len(places))
        items = list(left)
        for number in range(start, stop):
            items += self._encoded(places, [number])
            yield
        items.sort(key=_length)
        batches = self.budget.cut_by(_length, items, self.processes)
        is_last = stop == len(places)
        # An unfilled batch waits for the next window; only an epoch's last may stay so.
        unfilled = bool(batches) and len(batches[-1]) < self.budget.batch_size * self.processes
        waiting = batches.pop() if unfilled and not is_last else []
        if rng is not None:
            tail = [batches.pop()] if is_last and unfilled else []
            rng.shuffle(batches)
            batches += tail
        return _Window([[[item] for item in batch] for batch in batches], stop, waiting)

    def _packed_window(
        self,
        places: Places,
        left: Sequence[Item],
        start: int,
        rng: random.Random | None,
        capacity: int,
    ) -> Generator[None, None, _Window]:
        size = self.budget.batch_size * self.processes
        items, stop = list(left), start
        # An example longer than a row makes one: more of it would end a window of too few rows.
        tokens = sum(min(_length(item), capacity) for item in items)
        while stop < len(places) and tokens < size * self.budget.window_batches * capacity:
            found = list(self._encoded(places, [stop]))
            items += found
            tokens += sum(min(_length(item), capacity) for item in found)
            stop += 1
            yield
        bins = pack_by(_length, items, capacity)
        # The emptiest rows wait for the next window, where more may fit into them: these tokens
        # fill no fewer rows than a window has.
        whole = len(bins) if stop == len(places) else size * self.budget.window_batches
        bins, waiting = bins[:whole], [item for items in bins[whole:] for item in items]
        if rng is not None:
            rng.shuffle(bins)
        return _Window([bins[i : i + size] for i in range(0, whole, size)], stop, waiting)

    def _encoded(self, places: Places, numbers: Sequence[int]) -> Iterator[Item]:
        for number in numbers:
            row = self.encode(places[number])
            if row is not None:
                yield number, row


def _length(item: Item) -> int:
    return len(item[1].input_ids)


def _unlearnt(row: Encoded) -> Encoded:
    """Return a row that counts for nothing, for a process whose share of a batch is empty."""
    return replace(row, labels=tuple(IGNORE_INDEX for _ in row.labels), example=None)
