"""Names of many files in one text: lists, braces and wildcards; and what JSON they hold."""

import glob
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlite.errors import RowError

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand(names: str | Sequence[str], key: str) -> list[str]:
    """Return all files that are meant, in order.

    `{000..117}` counts, with leading zeros; `{a,b}` lists; `*`, `?` and `[]` match local files, in
    sorted order.

    Args:
        names: One pattern or several; local paths or URLs.
        key: Where they were given, for the message.

    Raises:
        ValueError: If there is nothing of that name; URLs are not looked up.
    """
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        for path in _braces(name):
            is_pattern = "://" not in path and any(mark in path for mark in "*?[")
            matched = sorted(glob.glob(path)) if is_pattern else [path]
            if not matched:
                raise ValueError(f"{key}: got {path!r}, which matches no file; allowed: files")
            found += matched
    if not found:
        raise ValueError(f"{key}: got no files, allowed: at least one")
    return found


def existing_folder(path: str | None, key: str) -> Path | None:
    """Return a folder that was given.

    Raises:
        ValueError: If it is not there.
    """
    if path is not None and not Path(path).is_dir():
        raise ValueError(f"{key}: got {path!r}, but there is no such folder")
    return None if path is None else Path(path)


def _braces(name: str) -> list[str]:
    match = _BRACES.search(name)
    if match is None:
        return [name]
    before, inside, after = name[: match.start()], match[1], name[match.end() :]
    counted = _RANGE.fullmatch(inside)
    if counted:
        width = len(counted[1])
        options = [f"{n:0{width}d}" for n in range(int(counted[1]), int(counted[2]) + 1)]
    else:
        options = inside.split(",")
    return [before + option + rest for option in options for rest in _braces(after)]


def parse_json(content: str | bytes, allowed: str) -> Any:
    """Return what a JSON text says.

    Args:
        content: The text.
        allowed: What belongs there, for the message.

    Raises:
        RowError: If it is no JSON, or is nested deeper than Python reads it.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RowError(f"got invalid JSON ({error}), allowed: {allowed}") from error
