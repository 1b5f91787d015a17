"""Small JSON files that say what is done, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from mmlite.files import write_whole


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Write a file, and its folder where there is none.

    Args:
        path: The file.
        value: What it holds; JSON-serialisable.
        indent: Spaces for each level; null writes one line.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a file; one that is missing or cut off holds nothing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
