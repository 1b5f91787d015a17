"""Weight files on disk: one safetensors file, or a folder with one or several and their index.

Only safetensors are read: nothing in them can be executed. Tensors are read when they are asked
for, so that one part of a large model costs that part's memory alone.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

RUN_FILE = "weights.safetensors"
"""What a run of ours leaves."""

INDEX_FILE = "model.safetensors.index.json"
"""Names the file of each tensor, where a model is spread over several."""

SINGLE_FILE = "model.safetensors"
"""What transformers writes for a model that fits into one file."""


class WeightFiles:
    """Names and tensors of a checkpoint.

    Args:
        path: A safetensors file; or a folder with `weights.safetensors` (a run's), with
            `model.safetensors.index.json`, or with `model.safetensors`.

    Raises:
        ValueError: If nothing of that kind is there, a file of the index is missing, or one
            cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file_of: dict[str, Path] = {}
        for file in _files(self.path):
            for name in _names(file):
                self._file_of[name] = file

    @property
    def is_run(self) -> bool:
        """Whether a run of ours left it."""
        return RUN_FILE in {file.name for file in self._file_of.values()}

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._file_of)

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Read some of the tensors.

        Args:
            names: Which ones; each must be in `names`.
        """
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self._file_of[name], []).append(name)
        found = {}
        for file, wanted in by_file.items():
            try:
                with safe_open(file, framework="pt") as opened:
                    found |= {name: opened.get_tensor(name) for name in wanted}
            except (SafetensorError, OSError) as error:
                raise _unreadable(file, error) from error
        return found


def _files(path: Path) -> list[Path]:
    if path.is_file() and path.name.endswith(".index.json"):
        return _indexed(path)
    if path.is_file():
        return [path]
    for name in (RUN_FILE, INDEX_FILE, SINGLE_FILE):
        if (found := path / name).is_file():
            return _indexed(found) if name == INDEX_FILE else [found]
    raise ValueError(
        f"init_from: got {str(path)!r}, allowed: a run's folder with {RUN_FILE} in it, a model's "
        f"folder with {SINGLE_FILE} or {INDEX_FILE} in it, or a safetensors file; run the stage "
        "that makes it first, or download the model"
    )


def _indexed(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(index, error) from error
    # A name may not lead out of the folder: an index is data from elsewhere.
    files = [index.parent / Path(str(name)).name for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"init_from: {index} names {', '.join(missing[:4])}, which are not beside it; "
            "download all files of the model"
        )
    return files


def _names(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(
        f"init_from: {file} cannot be read ({error}), allowed: a whole safetensors file; download "
        "or write it again, or remove it from init_from"
    )
