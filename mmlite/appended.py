"""Lines that several processes append to one folder, and read from each other meanwhile."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class AppendedLines:
    """JSON values, one a line; each process appends to a file of its own, and reads the others'.

    A line that cannot be read, such as the torn last one of a killed process, comes as None.

    Args:
        folder: Of the files; it is made when something is appended.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._mine = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._read_bytes: dict[Path, int] = {}

    def append(self, values: Iterable[Any]) -> None:
        """Append values; those on their way to disk stay there when the process is killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(value)}\n" for value in values)
        with (self.folder / self._mine).open("ab") as file:
            file.write(lines.encode("ascii"))

    def read_new(self) -> Iterator[tuple[Path, Any]]:
        """Yield what others have appended since, each value with its file."""
        for path in sorted(self.folder.glob("*.jsonl")):
            if path.name != self._mine and path.stat().st_size > self._read_bytes.get(path, 0):
                yield from self._read(path)

    def _read(self, path: Path) -> Iterator[tuple[Path, Any]]:
        with path.open("rb") as file:
            file.seek(self._read_bytes.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    return  # still being written, or torn for ever
                self._read_bytes[path] = self._read_bytes.get(path, 0) + len(line)
                yield path, _value(line)


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
