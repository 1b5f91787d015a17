"""Files that are written whole or not at all."""

import os
from pathlib import Path

from mmlite.errors import writing


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
