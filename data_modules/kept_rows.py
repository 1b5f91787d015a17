"""Encoded training rows that the runs of a study share, in one process and between processes."""

import json
import logging
from array import array
from collections.abc import Sequence
from dataclasses import astuple, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlite.appended import AppendedLines
from mmlite.layout import Layout
from mmlite.processor import Encoded
from mmlite.records import ImageRef

_log = logging.getLogger(__name__)

MAX_TOKENS = 5_000_000
"""Tokens that are kept of one set of training rows: about 40 MB, and what rows hold besides."""

MAX_SETS = 6
"""Sets of training rows that a process keeps: one for each kind of run in a study."""

MAX_IMAGES = 20_000
"""Images whose rows, of whichever set, share one record of them."""

ROWS_AT_A_TIME = 100
"""Rows that are written for other processes together."""

Place = tuple[int, int]
"""Number of a source in a mixture, and of a row in it."""


class KeptRows:
    """Encoded rows by their place in a mixture.

    Rows that come first are kept until there is no more room; the others are made again, and so
    are those that hold the bytes of their images.

    Args:
        max_tokens: Most tokens in all rows together.
        folder: Where processes that make the same rows leave them for each other,
            `ROWS_AT_A_TIME`; not the last few, nor a row that carries its Example. It must not
            outlive what rows are made of.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS, folder: Path | None = None) -> None:
        # Numbers in arrays: as tuples of Python's integers they take several times the memory.
        self._rows: dict[Place, tuple[Encoded, array[int], array[int]]] = {}
        self._room = max_tokens
        self._others = None if folder is None else AppendedLines(folder)
        self._told: list[Any] = []

    def get(self, place: Place) -> Encoded | None:
        """Return the row at a place, or None if it is not kept."""
        if place not in self._rows:
            self._read_others()
        found = self._rows.get(place)
        if found is None:
            return None
        row, input_ids, labels = found
        return replace(row, input_ids=tuple(input_ids), labels=tuple(labels))

    def put(self, place: Place, row: Encoded) -> None:
        """Keep a row, if there is room."""
        if self._keep(place, row) and self._others is not None and row.example is None:
            self._told.append(_to_json(place, row))
            if len(self._told) >= ROWS_AT_A_TIME:
                self._tell_others()

    def _keep(self, place: Place, row: Encoded) -> bool:
        size = len(row.input_ids)
        has_bytes = any(image.data is not None for image in row.images)
        if has_bytes or place in self._rows:
            return False
        if size > self._room:
            self._room = 0  # so that what others have is no longer read either
            return False
        rest = replace(row, input_ids=(), labels=())
        self._rows[place] = (rest, array("i", row.input_ids), array("i", row.labels))
        self._room -= size
        return True

    def _read_others(self) -> None:
        if self._others is None or not self._room:
            return
        try:
            for _, entry in self._others.read_new():
                if entry is not None:  # torn by a kill: made again
                    self._keep(*_from_json(entry))
                if not self._room:
                    return
        except OSError as error:
            self._leave_others(error)

    def _tell_others(self) -> None:
        told, self._told = self._told, []
        assert self._others is not None, "rows are told where others are"
        try:
            self._others.append(told)
        except OSError as error:
            self._leave_others(error)

    def _leave_others(self, error: OSError) -> None:
        """Share no more: it saves time, and nothing depends on it."""
        _log.warning("Training rows are shared with other processes no more: %s", error)
        self._others = None


def _to_json(place: Place, row: Encoded) -> list[Any]:
    images = [json.dumps(image.to_json()) for image in row.images]
    layouts = [astuple(layout) for layout in row.layouts]
    return [place, row.input_ids, row.labels, images, row.name, layouts]


def _from_json(entry: Sequence[Any]) -> tuple[Place, Encoded]:
    (source, number), input_ids, labels, images, name, layouts = entry
    row = Encoded(
        input_ids=tuple(input_ids),
        labels=tuple(labels),
        images=tuple(map(_image, images)),
        name=name,
        layouts=tuple(Layout(*layout) for layout in layouts),
    )
    return (source, number), row


@lru_cache(MAX_IMAGES)
def _image(text: str) -> ImageRef:
    return ImageRef.from_json(json.loads(text))


@lru_cache(MAX_SETS)
def rows_kept_for(key: str, folder: Path | None = None) -> KeptRows:
    """Return what is kept of the training rows that a key stands for.

    Args:
        key: Hash of everything that decides the rows: sources, seed, prompts, processor.
        folder: Where this process and others leave sets of rows for each other, if they do.
    """
    return KeptRows(folder=None if folder is None else folder / key)
