"""What fits into a batch, and cutting sequences into batches under it."""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from mmlite.packing import padded_length
from mmlite.processor import Encoded

Item = TypeVar("Item")


@dataclass(frozen=True)
class BatchBudget:
    """What fits into a batch of one process.

    Attributes:
        batch_size: Most rows: sequences, or packed rows of several.
        max_batch_tokens: Most tokens, padding included; null: no limit. A sequence that alone has
            more makes a batch of its own. Not with `pack_tokens`.
        window_batches: Batches planned at a time; sequences of like length meet within a window.
        pack_tokens: Most tokens of a packed row, which holds as many examples as fit, each as if
            it were alone; null: one example a row. An example that alone has more makes a row of
            its own. Attention costs grow with the square of it, so that a few times the length of
            a usual example is enough.
        pad_multiple: Rows are as long as a multiple of so many tokens; 1: as the longest of them.
            Compiled blocks and kernels are made for a length, and fewer lengths make fewer of them.
            Positions that a model has learnt one by one must reach as far.
    """

    batch_size: int = 32
    max_batch_tokens: int | None = None
    window_batches: int = 16
    pack_tokens: int | None = None
    pad_multiple: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value is not None and value < 1:
                raise ValueError(f"data.budget.{name}: got {value}, allowed: 1 or more")
        if self.pack_tokens is not None and self.max_batch_tokens is not None:
            raise ValueError(
                f"data.budget: got max_batch_tokens {self.max_batch_tokens} and pack_tokens "
                f"{self.pack_tokens}, allowed: one of them; a packed batch has at most batch_size "
                "times pack_tokens tokens"
            )
        if self.max_batch_tokens is not None and self.pad_multiple > self.max_batch_tokens:
            raise ValueError(
                f"data.budget: got pad_multiple {self.pad_multiple} and max_batch_tokens "
                f"{self.max_batch_tokens}, allowed: a multiple of at most the tokens of a batch"
            )
        if self.pack_tokens is not None and self.pack_tokens % self.pad_multiple:
            raise ValueError(
                f"data.budget: got pack_tokens {self.pack_tokens} and pad_multiple "
                f"{self.pad_multiple}, allowed: pack_tokens that are a multiple of it, since rows "
                "are padded to one"
            )

    @property
    def has_fixed_size(self) -> bool:
        """Whether batches hold `batch_size` examples, however long they are."""
        return self.max_batch_tokens is None and self.pack_tokens is None

    def cut(self, rows: Sequence[Encoded], processes: int) -> list[list[Encoded]]:
        """Cut sequences, sorted by length, into global batches for so many processes."""
        return self.cut_by(lambda row: len(row.input_ids), rows, processes)

    def cut_by(
        self, length: Callable[[Item], int], items: Sequence[Item], processes: int
    ) -> list[list[Item]]:
        """Cut anything that has a length, sorted by it, into global batches."""
        batches: list[list[Item]] = []
        batch: list[Item] = []
        for item in items:
            # Sorted, so this row is the longest; one process's share is padded to it.
            padded = padded_length(length(item), self.pad_multiple)
            tokens = padded * -(-(len(batch) + 1) // processes)
            limit = self.max_batch_tokens
            full = len(batch) == self.batch_size * processes
            if batch and (full or (limit is not None and tokens > limit)):
                batches.append(batch)
                batch = []
            batch.append(item)
        return [*batches, batch] if batch else batches


def pack_by(
    length: Callable[[Item], int], items: Sequence[Item], capacity: int
) -> list[list[Item]]:
    """Pack items into rows of a capacity: longest first, each where the least room is left.

    Best-fit decreasing, whose rows are at most 11/9 of the fewest possible and in practice nearly
    full (D. S. Johnson, Near-optimal bin packing algorithms, 1973).

    Args:
        length: Of an item.
        items: In any order; those of equal length stay in theirs.
        capacity: Of a row; an item that is longer makes a row of its own.

    Returns:
        The rows, fullest first.
    """
    rows: list[list[Item]] = []
    room: list[tuple[int, int]] = []  # what is left in a row, and the row's number; sorted
    used: list[int] = []
    for item in sorted(items, key=length, reverse=True):
        size = length(item)
        place = bisect_left(room, (size, 0))
        if place == len(room):
            left, row = max(capacity - size, 0), len(rows)
            rows.append([item])
            used.append(size)
        else:
            left, row = room.pop(place)
            left -= size
            rows[row].append(item)
            used[row] += size
        insort(room, (left, row))
    order = sorted(range(len(rows)), key=lambda row: -used[row])
    return [rows[row] for row in order]
