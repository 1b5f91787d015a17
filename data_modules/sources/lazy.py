"""Rows that are read or made when they are indexed."""

from collections.abc import Callable, Sequence
from typing import overload

from data_modules.sources.base import Row


class LazyRows(Sequence[Row]):
    """A sequence of rows behind a function.

    Args:
        size: Number of rows.
        read: Takes a row's number and returns the row, the same one every time.
    """

    def __init__(self, size: int, read: Callable[[int], Row]) -> None:
        self.size = size
        self.read = read

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(self.size))]
        if not -self.size <= index < self.size:
            raise IndexError(index)
        return self.read(index % self.size)
