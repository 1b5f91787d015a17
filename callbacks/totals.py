"""Adding up over processes, and writing what was added up into the run's folder."""

import json
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from mmlite.parallel import world_size

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def gathered(item: Item) -> list[Item]:
    """Return what every process has, in the order of the processes; all of them must call it."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def summed(counts: Mapping[Key, Sequence[float]]) -> dict[Key, list[float]]:
    """Add up numbers by key over all processes; a key may be known to some of them only.

    Args:
        counts: By key, as many numbers for every key on every process.
    """
    total: dict[Key, list[float]] = {}
    for part in gathered(dict(counts)):
        for key, values in part.items():
            before = total.get(key, [0.0] * len(values))
            total[key] = [a + b for a, b in zip(before, values, strict=True)]
    return total


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    os.replace(part, path)
