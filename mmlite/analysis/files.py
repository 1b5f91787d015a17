"""Writing the files of a report: whole or not at all, and the same bytes for the same content."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmlite.files import write_whole


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_whole(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; numbers that JSON lacks are refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write rows as CSV, whole or not at all; null becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
