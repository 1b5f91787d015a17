"""What a source is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from mmlite.records import Example

Row = tuple[Example, ...]
"""Examples about the same images, which may share one sequence; usually just one."""

SPLITS = ("train", "validation", "test")


class Source(ABC):
    """Reads one format into Examples. Subclass it for another format.

    Attributes:
        name: Stands in each Example's `source` and in error messages.
    """

    name: str

    @abstractmethod
    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split; a row may be read or made only when it is indexed.

        A row is the same whenever it is indexed: runs go on in the middle of an epoch, and runs
        of a study share rows.

        Args:
            split: `train`, `validation` or `test`.

        Raises:
            ValueError: If the source has no such split; the message names those it has.
        """

    def describe(self, split: str) -> Mapping[str, Any]:
        """Return where the rows of a split come from, as plain values for a run's ledger.

        Args:
            split: One that the source has.
        """
        return {}


def unknown_split(source: Source, split: str, allowed: Sequence[str]) -> ValueError:
    """Return the error for a split a source does not have."""
    return ValueError(f"{source.name}: got split {split!r}, allowed: {', '.join(allowed)}")
