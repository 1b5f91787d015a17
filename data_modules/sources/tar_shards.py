"""Tar shards: where the samples of an archive lie, and fetching archives that are elsewhere."""

import contextlib
import fcntl
import hashlib
import logging
import os
import tarfile
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mmlite.errors import RowError

_log = logging.getLogger(__name__)

TRIES = 3
"""How often a shard is fetched before a run stops."""

BLOCK = 512
"""Bytes that everything in a tar archive is a multiple of."""

Span = tuple[int, int]
"""Offset and size in bytes."""


@dataclass
class Sample:
    """Files of an archive that belong together.

    Attributes:
        key: What their names have in common: everything up to the first dot of the file's name.
        spans: Where each lies, by the rest of its name, such as `jpg` or `0.png`.
    """

    key: str
    spans: dict[str, Span] = field(default_factory=dict)


def scan(file: BinaryIO, name: str) -> list[Sample]:
    """Find the samples of an uncompressed tar archive, by its headers alone.

    Args:
        file: The archive, opened.
        name: What it is called in messages.

    Raises:
        ValueError: If it is no such archive, is cut off, or has two files of a sample that are
            called alike, of which one would be lost.
    """
    samples: list[Sample] = []
    try:
        size = os.fstat(file.fileno()).st_size
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if not member.isfile() or Path(member.name).name.startswith("__"):
                    continue
                if member.issparse() or member.offset_data + member.size > size:
                    raise tarfile.ReadError(f"{member.name} is cut off")
                folder, _, last = member.name.rpartition("/")
                stem, _, kind = last.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if not samples or samples[-1].key != key:
                    samples.append(Sample(key))
                if kind.lower() in samples[-1].spans:
                    raise ValueError(
                        f"{name}: got {member.name} beside another {kind.lower()} of its sample, "
                        "allowed: one of a kind, capitals apart; name the files of samples apart"
                    )
                samples[-1].spans[kind.lower()] = (member.offset_data, member.size)
            # An archive ends in empty blocks; where they are missing, so may be other samples.
            file.seek(archive.offset)
            if file.read(BLOCK) != bytes(BLOCK):
                raise tarfile.ReadError("its end is missing")
    except (tarfile.TarError, OSError) as error:
        raise ValueError(
            f"{name}: cannot be read ({error}), allowed: an uncompressed tar archive, whole"
        ) from error
    return samples


class OpenShard:
    """An archive that is open, with its samples.

    Args:
        path: On this machine.
        name: What it is called in messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.file = path.open("rb")
        weakref.finalize(self, self.file.close)
        self.samples = scan(self.file, name)

    def sample(self, number: int) -> Sample:
        """Return a sample.

        Raises:
            RowError: If there are fewer; an index that says otherwise is out of date.
        """
        if number >= len(self.samples):
            raise RowError(
                f"got {len(self.samples)} samples, allowed: as many as the index says; make the "
                "index again, or the shard"
            )
        return self.samples[number]

    def read(self, span: Span) -> bytes:
        """Return a part of the archive."""
        start, size = span
        self.file.seek(start)
        return self.file.read(size)


class TarShards:
    """Archives of which only a few are open, and on this machine, at a time.

    Those behind a URL are fetched whole into a folder and deleted when others took their place.
    Processes may share the folder: each keeps open what it needs, which its deletion by another
    process does not disturb.

    Args:
        names: Paths or URLs.
        cache_folder: Where fetched archives lie; null if all are local.
        cache_shards: How many are open, and how many fetched ones are kept.
    """

    def __init__(
        self, names: Sequence[str], *, cache_folder: Path | None, cache_shards: int
    ) -> None:
        self.names = list(names)
        self.cache_folder = cache_folder
        self.cache_shards = cache_shards
        self._open: OrderedDict[int, OpenShard] = OrderedDict()

    def is_remote(self, shard: int) -> bool:
        """Whether a shard has to be fetched."""
        return "://" in self.names[shard]

    def open(self, shard: int) -> OpenShard:
        """Return a shard, fetched if it has to be.

        Raises:
            ValueError: If it cannot be read.
            ConnectionError: If it cannot be fetched, also not when tried again.
        """
        if shard not in self._open:
            while len(self._open) >= self.cache_shards:
                self._drop(*self._open.popitem(last=False))
            self._open[shard] = self._opened(shard)
        self._open.move_to_end(shard)
        return self._open[shard]

    def close(self) -> None:
        """Close all shards, and delete those that were fetched."""
        while self._open:
            self._drop(*self._open.popitem())

    def _drop(self, shard: int, opened: OpenShard) -> None:
        opened.file.close()
        if self.is_remote(shard):
            with _locked(_lock(opened.path)):
                opened.path.unlink(missing_ok=True)

    def _opened(self, shard: int) -> OpenShard:
        name = self.names[shard]
        if not self.is_remote(shard):
            return OpenShard(Path(name), name)
        assert self.cache_folder is not None, "asked for where there is a remote shard"
        self.cache_folder.mkdir(parents=True, exist_ok=True)
        tag = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        path = self.cache_folder / f"{tag}-{name.rpartition('/')[2]}"
        with _locked(_lock(path)):
            # Opened under the lock, so that no other process deletes it before.
            if not path.exists():
                fetch(name, path)
            return OpenShard(path, name)


def fetch(url: str, path: Path) -> None:
    """Copy a file from a URL, whole or not at all.

    Args:
        url: Anything `fsspec` knows: http, https, s3, gs, hf, file, ...
        path: Where to.

    Raises:
        ConnectionError: If it fails three times.
    """
    from fsspec.core import url_to_fs

    part = path.with_name(f".{path.name}.part")  # of one who was killed, too: whoever fetches locks
    for attempt in range(1, TRIES + 1):
        try:
            system, place = url_to_fs(url)
            with system.open(place, "rb") as source, part.open("wb") as copy:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
            os.replace(part, path)
            return
        except Exception as error:  # of any protocol's library, which have their own
            part.unlink(missing_ok=True)
            if attempt == TRIES or isinstance(error, ImportError | FileNotFoundError):
                raise ConnectionError(
                    f"{url}: cannot be fetched ({error}); check the address, the network, and "
                    "that fsspec has what its protocol needs"
                ) from error
            _log.warning("Fetching %s again, since it failed: %s", url, error)
            time.sleep(attempt)


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time do this; a killed one lets go."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
