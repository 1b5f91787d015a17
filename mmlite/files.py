"""Files that are written whole or not at all, and folders that one command at a time writes to."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmlite.errors import writing

LOCK_FILE = ".lock"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then give it its own; its folder is made.

    Args:
        path: The file.
        content: What it holds.

    Raises:
        OSError: If it cannot be written; a full disk names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            part.write_bytes(content)
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def only_one(folder: Path, command: str) -> Iterator[None]:
    """Keep other processes out of a folder; the lock ends with the process, however it ends.

    Args:
        folder: The folder, which must be there.
        command: Of mmlite that writes to it.

    Raises:
        ValueError: If another process runs the command in it.
    """
    with (folder / LOCK_FILE).open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{command}: got {folder}, which another mmlite {command} is writing to, allowed: "
                "a folder of its own; wait for the other one, or give another --out"
            ) from error
        yield
