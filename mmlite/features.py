"""Cache of vision features: content-addressed, in memory or on disk.

Features of a frozen vision encoder depend on its weights, the type they are computed in and the
tile's pixels alone, so their key is made of these. The processor reads from the cache when it makes
a batch; the stage writes what it had to encode. Every switch position trains the same model
(`tests/test_features.py`).
"""

import logging
import os
import time
import uuid
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmlite.errors import writing

_log = logging.getLogger(__name__)

CLOCK_TICK_NS = 20_000_000
"""Longer than a tick of any file system's clock, in nanoseconds."""

SHARD_TILES = 1024
"""Tiles per file on disk."""


class FeatureCache:
    """Vision features by tile key.

    Args:
        folder: Where features are kept between runs and shared by processes; null keeps them in
            this process's memory only.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._fingerprint: str | None = None
        self._memory: dict[str, dict[str, Tensor]] = {}
        self._pending: dict[str, Tensor] = {}
        self._read: set[Path] = set()
        self._is_shared = False
        self._changed_at: int | None = None
        """When the folder had last changed as it was looked through, in ns."""

    @property
    def is_open(self) -> bool:
        """Whether a vision encoder was named, so that features can be read."""
        return self._fingerprint is not None

    def open(self, fingerprint: str) -> None:
        """Read and write features of one vision encoder from now on.

        Args:
            fingerprint: Hash of the encoder's weights.

        Raises:
            ValueError: If the folder cannot be written, before anything is encoded for it.
        """
        self.flush()
        self._fingerprint = fingerprint
        self._check_place()
        self._memory.setdefault(fingerprint, {})
        self._changed_at = None
        for path in self._new_files():
            self._take(path)

    def close(self) -> None:
        """Write what is pending; nothing is read or written until `open` is called again."""
        self.flush()
        self._fingerprint = None

    def get(self, key: str) -> Tensor | None:
        """Return the features of a tile (patch, vision_dim), or None."""
        if self._fingerprint is None:
            return None
        known = self._memory[self._fingerprint]
        if key not in known and self._is_shared:
            self._look_again()
        return known.get(key)

    def put(self, keys: tuple[str, ...], features: Tensor) -> None:
        """Keep the features of tiles.

        Args:
            keys: Content key per tile.
            features: Tile x patch x vision_dim.
        """
        if self._fingerprint is None:
            return
        known = self._memory[self._fingerprint]
        for key, tile in zip(keys, features.detach().cpu(), strict=True):
            if key not in known:
                # A copy of its own: a view would keep the whole batch alive.
                known[key] = self._pending[key] = tile.clone()
        if self.folder is None:
            self._pending.clear()
        elif len(self._pending) >= SHARD_TILES:
            self.flush()

    def flush(self) -> None:
        """Write pending features to disk, whole or not at all."""
        if not self._pending or self.folder is None:
            return
        place = self._place()
        place.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.safetensors"
        keys = list(self._pending)
        stacked = torch.stack([self._pending[key] for key in keys]).contiguous()
        temporary = place / f".{name}.part"
        with writing(place / name):
            save_file({"features": stacked}, temporary, metadata={"keys": " ".join(keys)})
        os.replace(temporary, place / name)
        self._read.add(place / name)
        self._pending.clear()
        self._memory[str(self._fingerprint)] |= _read_shard(place / name)  # no longer held

    def share(self) -> None:
        """Find what other processes write meanwhile, too: they are given the same images.

        Which of two processes encoded a tile may then depend on their speed. An encoder whose
        features of a tile depend on those beside it, by rounding, would make that matter.
        """
        self._is_shared = self.folder is not None

    def _look_again(self) -> None:
        try:
            changed = self._place().stat().st_mtime_ns
            if changed == self._changed_at:
                return
            # Of files that come within one tick of the clock, the later ones change no time.
            is_settled = time.time_ns() - changed > CLOCK_TICK_NS
            self._changed_at = changed if is_settled else None
            for path in self._new_files():
                self._take(path)
        except (OSError, ValueError) as error:  # what is not found is encoded here
            self._is_shared = False
            _log.warning("Features of other processes are read no more: %s", error)

    def _new_files(self) -> list[Path]:
        if self.folder is None:
            return []
        return [
            path for path in sorted(self._place().glob("*.safetensors")) if path not in self._read
        ]

    def _take(self, path: Path) -> None:
        known = self._memory[str(self._fingerprint)]
        for key, tile in _read_shard(path).items():
            known.setdefault(key, tile)
        self._read.add(path)

    def _check_place(self) -> None:
        if self.folder is None:
            return
        problem = "no right to"
        try:
            self._place().mkdir(parents=True, exist_ok=True)
            if os.access(self._place(), os.W_OK):
                return
        except OSError as error:
            problem = str(error.strerror)
        raise ValueError(
            f"processor.init_args.features.init_args.folder: got {self.folder}, which cannot be "
            f"written ({problem}), allowed: a folder you may write to, or null for memory alone"
        )

    def _place(self) -> Path:
        assert self.folder is not None, "only a cache on disk has a place"
        return self.folder / str(self._fingerprint)


def _read_shard(path: Path) -> dict[str, Tensor]:
    """Return tiles that lie in the file: the system reads them when they are used."""
    try:
        with safe_open(path, framework="pt") as shard:
            keys = shard.metadata()["keys"].split()
            return dict(zip(keys, shard.get_tensor("features"), strict=True))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"feature cache: {path} cannot be read ({error}); delete it, it will be made again"
        ) from error
