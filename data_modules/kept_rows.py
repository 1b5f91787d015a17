"""Encoded training rows that runs of one process share."""

from array import array
from dataclasses import replace
from functools import lru_cache

from mmlite.processor import Encoded

MAX_TOKENS = 5_000_000
"""Tokens that are kept of one set of training rows: about 40 MB, and what rows hold besides."""

MAX_SETS = 6
"""Sets of training rows that a process keeps: one for each kind of run in a study."""

Place = tuple[int, int]
"""Number of a source in a mixture, and of a row in it."""


class KeptRows:
    """Encoded rows by their place in a mixture.

    Rows that come first are kept until there is no more room; the others are made again, and so
    are those that hold the bytes of their images.

    Args:
        max_tokens: Most tokens in all rows together.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        # Numbers in arrays: as tuples of Python's integers they take several times the memory.
        self._rows: dict[Place, tuple[Encoded, array[int], array[int]]] = {}
        self._room = max_tokens

    def get(self, place: Place) -> Encoded | None:
        """Return the row at a place, or None if it is not kept."""
        found = self._rows.get(place)
        if found is None:
            return None
        row, input_ids, labels = found
        return replace(row, input_ids=tuple(input_ids), labels=tuple(labels))

    def put(self, place: Place, row: Encoded) -> None:
        """Keep a row, if there is room."""
        size = len(row.input_ids)
        if any(image.data is not None for image in row.images):
            return
        if place not in self._rows and size <= self._room:
            rest = replace(row, input_ids=(), labels=())
            self._rows[place] = (rest, array("i", row.input_ids), array("i", row.labels))
            self._room -= size


@lru_cache(MAX_SETS)
def rows_kept_for(key: str) -> KeptRows:
    """Return what is kept of the training rows that a key stands for.

    Args:
        key: Hash of everything that decides the rows: sources, seed, prompts, processor.
    """
    return KeptRows()
