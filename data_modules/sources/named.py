"""Rows of several sources, each told apart from all others by what its errors say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_modules.sources.base import Row, Source
from mmlite.errors import RowError


@dataclass(frozen=True)
class NamedRows:
    """Rows of one of several sources.

    Attributes:
        rows: They.
        source: What errors call the source.
        is_shared: Whether its name is another source's too, so that its Examples do not say which
            one they are of.
    """

    rows: Sequence[Row]
    source: str
    is_shared: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, number: int) -> Row:
        """Return a row.

        Raises:
            RowError: If it is bad; the message names it, whether the source did or not.
        """
        name = f"{self.source} row {number}"
        try:
            row = self.rows[number]
        except ValueError as error:
            if getattr(error, "place", ""):
                raise
            raise RowError.at(name, error) from error
        if not self.is_shared:
            return row
        return tuple(e if e.place else replace(e, place=name) for e in row)


def named_rows(sources: Sequence[Source], split: str) -> list[NamedRows]:
    """Return the rows that sources have of a split.

    Args:
        sources: In their order under `data`.
        split: `train`, `validation` or `test`.
    """
    count = Counter(source.name for source in sources)
    found = []
    for number, source in enumerate(sources):
        is_shared = count[source.name] > 1
        name = f"data.{split}[{number}] ({source.name})" if is_shared else source.name
        found.append(NamedRows(source.rows(split), name, is_shared))
    return found
