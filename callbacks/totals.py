"""Writing what was added up over processes into the run's folder."""

import json
from pathlib import Path
from typing import Any

from mmlite.files import write_whole


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; its folder is made."""
    write_whole(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())
