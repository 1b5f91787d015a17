"""Encoded training rows that runs of one process share."""

from functools import lru_cache

from mmlite.processor import Encoded

MAX_TOKENS = 5_000_000
"""Tokens that are kept of one set of training rows: some hundred megabytes at most."""

MAX_SETS = 6
"""Sets of training rows that a process keeps: one for each kind of run in a study."""

Place = tuple[int, int]
"""Number of a source in a mixture, and of a row in it."""


class KeptRows:
    """Encoded rows by their place in a mixture.

    Rows that come first are kept until there is no more room; the others are made again.

    Args:
        max_tokens: Most tokens in all rows together.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._rows: dict[Place, Encoded] = {}
        self._room = max_tokens

    def get(self, place: Place) -> Encoded | None:
        """Return the row at a place, or None if it is not kept."""
        return self._rows.get(place)

    def put(self, place: Place, row: Encoded) -> None:
        """Keep a row, if there is room."""
        size = len(row.input_ids)
        if place not in self._rows and size <= self._room:
            self._rows[place] = row
            self._room -= size


@lru_cache(MAX_SETS)
def rows_kept_for(key: str) -> KeptRows:
    """Return what is kept of the training rows that a key stands for.

    Args:
        key: Hash of everything that decides the rows: sources, seed, prompts, processor.
    """
    return KeptRows()
