"""Checkpoints that Lightning wrote, read by one process: a file, or the folder of a sharded run.

Only tensors and plain values are read; nothing in a checkpoint is executed.
"""

import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from mmlite.stages.shard_reader import ForeignObject, ShardReader

_SHARDS = ".metadata"
"""File that tells which tensors a sharded checkpoint holds, and where."""

_PREFIX = "model."
"""Stages keep their model, whose children are the parts, under this name."""


_UNREADABLE = (
    *(OSError, EOFError, KeyError, RuntimeError, UnpicklingError, ValueError, CheckpointException),
)
"""What PyTorch raises at files that are cut off or hold something else."""

_ALLOWED = "a checkpoint that a run wrote"


def is_checkpoint(path: str | Path) -> bool:
    """Return whether a path is a checkpoint and not a run's folder or a safetensors file."""
    path = Path(path)
    return (path / _SHARDS).is_file() or (path.is_file() and path.suffix == ".ckpt")


def checkpoint_part(path: str | Path, part: str) -> dict[str, Tensor]:
    """Read one part's weights from a checkpoint, however many processes wrote it.

    Args:
        path: A file (`last.ckpt`), or a folder of shards of the same name.
        part: Name of the part.

    Returns:
        Tensors by their name in the part.

    Raises:
        ValueError: If the checkpoint cannot be read or has nothing of that part.
    """
    path = Path(path)
    told = f"init_from.{part}: got {path}"
    try:
        held, mine = _from_shards(path, part) if path.is_dir() else _from_file(path, part)
    except _UNREADABLE as error:
        raise ValueError(f"{told}, which {_problem(error, path)}") from error
    if not mine:
        raise ValueError(
            f"{told}, which has no weights of {part}, allowed: {', '.join(held) or _ALLOWED}"
        )
    return mine


def _problem(error: BaseException, path: Path) -> str:
    """Return what is wrong with a checkpoint, what is allowed, and what to do."""
    is_collected = isinstance(error, CheckpointException)
    cause = next(iter(error.failures.values()))[0] if is_collected else error
    if isinstance(cause, ForeignObject):
        return (
            f"holds more than tensors and plain values ({cause}) and is not loaded: that could run "
            f"code; allowed: {_ALLOWED}, or weights in a safetensors file"
        )
    if isinstance(cause, NoCheckpoint):
        return f"{cause}, allowed: {_ALLOWED}; give another file"
    if isinstance(cause, PermissionError):
        return (
            f"may not be read ({cause.filename or path}), allowed: {_ALLOWED}, and that you may "
            "read; change its rights"
        )
    return (
        f"cannot be read ({_damaged(path) if is_collected else path}: {_reason(cause)}), allowed: "
        f"{_ALLOWED}, whole; copy it again, or take an older one or the run's weights.safetensors"
    )


class NoCheckpoint(ValueError):
    """A whole file of PyTorch's that is no checkpoint of a run."""


def _from_file(path: Path, part: str) -> tuple[list[str], dict[str, Tensor]]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is cut off, or no file that PyTorch wrote")
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        if "nsupported" not in str(error):
            raise
        raise ForeignObject(_unsupported(error)) from error
    state = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not isinstance(state, dict):
        raise NoCheckpoint("holds no 'state_dict' of weights by name")
    prefix = f"{_PREFIX}{part}."
    names = [name for name in state if isinstance(name, str) and isinstance(state[name], Tensor)]
    return _parts(names), {n.removeprefix(prefix): state[n] for n in names if n.startswith(prefix)}


def _from_shards(path: Path, part: str) -> tuple[list[str], dict[str, Tensor]]:
    reader = ShardReader(path)
    known: dict[str, Any] = reader.read_metadata().state_dict_metadata
    top = "state_dict."
    names = [name.removeprefix(top) for name in known if name.startswith(top)]
    prefix = f"{_PREFIX}{part}."
    mine: dict[str, Tensor] = {}
    for name in names:
        info = known[top + name]
        if name.startswith(prefix) and isinstance(info, TensorStorageMetadata):
            mine[name] = torch.empty(info.size, dtype=info.properties.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is .*single process")
        if mine:
            state_dict_loader.load({top.rstrip("."): mine}, storage_reader=reader, no_dist=True)
    return _parts(names), {n.removeprefix(prefix): tensor for n, tensor in mine.items()}


def _damaged(path: Path) -> Path:
    """Return the shard that is missing or cut off, or the folder if none is."""
    ends: dict[str, int] = {}
    for place in ShardReader(path).read_metadata().storage_data.values():
        ends[place.relative_path] = max(
            ends.get(place.relative_path, 0), place.offset + place.length
        )
    files = [(path / name, end) for name, end in sorted(ends.items())]
    bad = (f for f, end in files if not f.is_file() or f.stat().st_size < end)
    return next(bad, path if len(files) != 1 else files[0][0])


def _reason(error: BaseException) -> str:
    """Return what went wrong, without a traceback."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0][:160] if lines else type(error).__name__


def _unsupported(error: UnpicklingError) -> str:
    """Return the class or function that PyTorch names and does not load."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found.group(1) if found else "an object"


def _parts(names: list[str]) -> list[str]:
    return sorted({n.removeprefix(_PREFIX).split(".")[0] for n in names if n.startswith(_PREFIX)})
