r"""WebDataset shards as a source: tar archives, local or streamed from elsewhere.

A sample is the files with one key (https://github.com/webdataset/webdataset), and the Example it
becomes:

    000017.json  {"conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, ...]}
    000017.jpg

    Example(id="000017", images=(ImageRef(path="train-000.tar", span=(OFFSET, SIZE)),), turns=(...))

A sample of an image and a text (`000018.jpg`, `000018.txt`) is an image and its caption.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from data_modules.sources.base import Row, Source, unknown_split
from data_modules.sources.columns import Columns
from data_modules.sources.files import expand, parse_json
from data_modules.sources.shard_index import count_samples, read_index
from data_modules.sources.shards import ShardedRows
from data_modules.sources.tar_shards import OpenShard, TarShards
from mmlite.errors import RowError
from mmlite.records import ImageRef
from mmlite.tasks import get_task

IMAGE_KINDS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm")
"""Last parts of the names of image files, of which a sample may have any number."""


class WebDataset(Source):
    """Samples in tar shards, of which only a few need to be on this machine at a time.

    Images are the image files of a sample, in their order in the archive. Everything else is in
    its `json`, read as a row of columns, and its `txt`, which is the caption unless the columns
    say otherwise.

    Why the shards are not read with the `webdataset` library: the order of rows here follows from
    seed and epoch alone, so that a killed run goes on with the very next batch, on any number of
    workers. Shards come in random order, and the samples of `shards_at_once` of them are shuffled
    together; all of them are within reach by an archive's headers.

    Local shards stay where they are, and workers read images straight from them. Shards behind a
    URL are fetched one after the other into `cache_folder`, at most `cache_shards` at a time. All
    processes of a machine share the folder.

    Args:
        train: Shards of the training split: a path or URL, with `{000..117}` and, for local
            files, `*`; or a list; null: none.
        validation: Shards of the validation split; null: none.
        test: Shards of the test split; null: none.
        index: How many samples each shard has (`data_modules.sources.tar_index`); null opens all
            shards once at the start, which only local ones allow.
        cache_folder: Where fetched shards lie; needed for URLs.
        cache_shards: Shards that are open, or fetched, at a time.
        shards_at_once: Shards whose samples are shuffled together.
        columns: Which key of `json` holds what.
        name: Stands in each Example's `source` and in error messages.
        task: Task of rows; empty tells it from what a row has.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        test: str | list[str] | None = None,
        index: str | None = None,
        cache_folder: str | None = None,
        cache_shards: int = 16,
        shards_at_once: int = 8,
        columns: Columns = Columns(),  # noqa: B008
        name: str = "web_dataset",
        task: str = "",
    ) -> None:
        self.name = name
        self.columns = columns
        self.task = task
        self.index = None if index is None else Path(index)
        self.shards_at_once = shards_at_once
        given = {"train": train, "validation": validation, "test": test}
        found = {s: expand(n, f"{name}.{s}") for s, n in given.items() if n is not None}
        self._check(found, cache_folder, cache_shards, shards_at_once)
        folder = None if cache_folder is None else Path(cache_folder)
        self.shards = {
            split: TarShards(names, cache_folder=folder, cache_shards=cache_shards)
            for split, names in found.items()
        }
        if task:
            get_task(task, may_import=True)  # an unknown name stops here
        self._rows: dict[str, ShardedRows] = {}

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, those of one shard after those of the other."""
        if split not in self.shards:
            raise unknown_split(self, split, tuple(self.shards))
        if split not in self._rows:
            shards = self.shards[split]
            names = shards.names
            sizes = read_index(self.index, names) if self.index else count_samples(names)
            starts = list(accumulate(sizes, initial=0))

            def read(shard: int, number: int) -> Row:
                opened = shards.open(shard)
                place = f"{names[shard]} sample {number}"
                try:
                    record, images = self._sample(opened, number, is_remote=shards.is_remote(shard))
                    example = self.columns.example(
                        record,
                        row=starts[shard] + number,
                        source=self.name,
                        task=self.task,
                        images=images,
                        place=place,
                    )
                    return (example,)
                except ValueError as error:
                    raise RowError.at(place, error) from error

            self._rows[split] = ShardedRows(sizes, read, shards_at_once=self.shards_at_once)
        return self._rows[split]

    def describe(self, split: str) -> Mapping[str, Any]:
        """Return the shards."""
        return {"shards": list(self.shards[split].names)}

    def _sample(
        self, shard: OpenShard, number: int, *, is_remote: bool
    ) -> tuple[dict[str, Any], list[ImageRef]]:
        """Return what a sample says, by column, and its images."""
        sample = shard.sample(number)
        record: dict[str, Any] = {"id": sample.key}
        if "txt" in sample.spans:
            record["caption"] = _decoded(shard.read(sample.spans["txt"]), "txt").strip()
        if "json" in sample.spans:
            try:
                value = parse_json(shard.read(sample.spans["json"]), "an object")
            except RowError as error:
                raise RowError.at("json", error) from error
            if not isinstance(value, dict):
                raise RowError(f"json: got {type(value).__name__}, allowed: an object")
            record |= value
        spans = [s for kind, s in sample.spans.items() if kind.rpartition(".")[2] in IMAGE_KINDS]
        if is_remote:  # the shard is deleted before a worker comes to it
            return record, [ImageRef(data=shard.read(span)) for span in spans]
        return record, [ImageRef(path=str(shard.path), span=span) for span in spans]

    def _check(
        self,
        found: Mapping[str, Sequence[str]],
        cache_folder: str | None,
        cache_shards: int,
        shards_at_once: int,
    ) -> None:
        problems = []
        if not found:
            problems.append("got no shards, allowed: at least one of train, validation, test")
        names = [name for shards in found.values() for name in shards]
        remote = [name for name in names if "://" in name]
        gone = [name for name in names if "://" not in name and not Path(name).is_file()]
        if gone:
            problems.append(f"got {', '.join(gone[:3])}, but there is no such file")
        if remote and cache_folder is None:
            problems.append(
                f"cache_folder: got null for {remote[0]}, allowed: a folder that shards are "
                "fetched into"
            )
        if remote and self.index is None:
            problems.append(
                f"index: got null for {remote[0]}, allowed: an index, so that not all shards are "
                "fetched at the start; make it with python -m data_modules.sources.tar_index"
            )
        if not 1 <= shards_at_once <= cache_shards:
            problems.append(
                f"shards_at_once: got {shards_at_once}, allowed: 1 to cache_shards {cache_shards}"
            )
        if problems:
            raise ValueError(f"{self.name}: " + "; ".join(problems))


def _decoded(content: bytes, kind: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(f"{kind}: got no UTF-8 text ({error}), allowed: UTF-8") from error
