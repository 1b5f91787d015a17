"""Index of tar shards: how many samples each has, so that none is opened before it is needed.

In the form of the `wids` tools of WebDataset (https://github.com/webdataset/webdataset):

    {"__kind__": "wids-shard-index-v1", "wids_version": 1,
     "shardlist": [{"url": "train-000.tar", "nsamples": 1000}]}

The command `data_modules.sources.tar_index` makes one.
"""

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data_modules.sources.tar_shards import TarShards

_log = logging.getLogger(__name__)

KIND = "wids-shard-index-v1"


def count_samples(names: Sequence[str]) -> list[int]:
    """Open every shard, one after the other, and count its samples."""
    with tempfile.TemporaryDirectory() as folder:
        shards = TarShards(names, cache_folder=Path(folder), cache_shards=1)
        sizes = [len(shards.open(number).samples) for number in range(len(names))]
        shards.close()
    return sizes


def write_index(names: Sequence[str], path: Path) -> None:
    """Write the index of shards, whole or not at all.

    Args:
        names: Paths or URLs of the shards.
        path: The file.
    """
    listed = [
        {"url": name, "nsamples": size}
        for name, size in zip(names, count_samples(names), strict=True)
    ]
    part = path.with_name(f".{path.name}.part")
    value = {"__kind__": KIND, "wids_version": 1, "shardlist": listed}
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)
    _log.info("%d samples in %d shards: %s", sum(e["nsamples"] for e in listed), len(names), path)


def read_index(path: Path, names: Sequence[str]) -> list[int]:
    """Return how many samples each shard has.

    Args:
        path: The index.
        names: Paths or URLs of the shards; told apart by the last part of their names.

    Raises:
        ValueError: If the file is no index, or lacks a shard.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["shardlist"]
        sizes = {str(e["url"]).rpartition("/")[2]: int(e["nsamples"]) for e in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"index: {path} cannot be read ({error!r}), allowed: a shard index of wids; make it "
            "with python -m data_modules.sources.tar_index"
        ) from error
    missing = [name for name in names if name.rpartition("/")[2] not in sizes]
    if missing:
        raise ValueError(
            f"index: {path} has no {', '.join(missing[:3])}, allowed: an index of all shards; make "
            "it again with python -m data_modules.sources.tar_index"
        )
    return [sizes[name.rpartition("/")[2]] for name in names]
