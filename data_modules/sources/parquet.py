"""Parquet files as a source, read a row group at a time."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from data_modules.sources.base import Row, Source, unknown_split
from data_modules.sources.columns import Columns
from data_modules.sources.files import existing_folder, expand
from data_modules.sources.shards import ShardedRows
from mmlite.errors import RowError
from mmlite.tasks import get_task


class Parquet(Source):
    """Parquet files, local or by URL, without a copy of them on disk.

    A row group is the unit that is read, and those of `groups_at_once` groups are shuffled
    together and held in memory. Files with few huge row groups are better read by `HuggingFace`,
    which copies them once to where any row is read at once.

    Args:
        train: Files of the training split: a path or URL, with `*` and `{000..117}`, or a list;
            null: none.
        validation: Files of the validation split; null: none.
        test: Files of the test split; null: none.
        columns: Which column holds what.
        image_root: Folder of images that are given by path; null: images are in the files.
        groups_at_once: Row groups that are shuffled together and held in memory.
        name: Stands in each Example's `source` and in error messages.
        task: Task of rows; empty tells it from what a row has.
    """

    def __init__(
        self,
        *,
        train: str | list[str] | None = None,
        validation: str | list[str] | None = None,
        test: str | list[str] | None = None,
        columns: Columns = Columns(),  # noqa: B008
        image_root: str | None = None,
        groups_at_once: int = 8,
        name: str = "parquet",
        task: str = "",
    ) -> None:
        self.name = name
        self.columns = columns
        self.task = task
        given = {"train": train, "validation": validation, "test": test}
        self.files = {
            split: expand(files, f"{name}.{split}")
            for split, files in given.items()
            if files is not None
        }
        if not self.files:
            raise ValueError(
                f"{name}: got no file, allowed: at least one of train, validation, test"
            )
        if groups_at_once < 1:
            raise ValueError(
                f"{name}.groups_at_once: got {groups_at_once}, allowed: 1 or more; 8 is usual"
            )
        if task:
            get_task(task, may_import=True)  # an unknown name stops here
        self.image_root = existing_folder(image_root, f"{name}.image_root")
        self.groups_at_once = groups_at_once
        self._groups: OrderedDict[tuple[str, int], list[dict[str, Any]]] = OrderedDict()

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, those of one row group after those of the other."""
        if split not in self.files:
            raise unknown_split(self, split, tuple(self.files))
        groups: list[tuple[str, int]] = []
        sizes: list[int] = []
        for path in self.files[split]:
            with _open(path, self.name) as file:
                self.columns.check(file.schema_arrow.names, f"{self.name} ({path})")
                for number in range(file.num_row_groups):
                    groups.append((path, number))
                    sizes.append(file.metadata.row_group(number).num_rows)
        starts = list(accumulate(sizes, initial=0))

        def read(group: int, row: int) -> Row:
            path, number = groups[group]
            place = f"{path} row group {number} row {row}"
            try:
                example = self.columns.example(
                    self._group(path, number)[row],
                    row=starts[group] + row,
                    source=self.name,
                    task=self.task,
                    image_root=self.image_root,
                    place=place,
                )
            except ValueError as error:
                raise RowError.at(place, error) from error
            return (example,)

        return ShardedRows(sizes, read, shards_at_once=self.groups_at_once)

    def describe(self, split: str) -> Mapping[str, Any]:
        """Return the files."""
        return {"files": list(self.files[split])}

    def _group(self, path: str, number: int) -> list[dict[str, Any]]:
        """Return the rows of a row group, from memory if it was read lately."""
        key = (path, number)
        if key not in self._groups:
            while len(self._groups) >= self.groups_at_once:
                self._groups.popitem(last=False)
            self._groups[key] = _read(path, number, self.name)
        self._groups.move_to_end(key)
        return self._groups[key]


def _read(path: str, number: int, source: str) -> list[dict[str, Any]]:
    """Read a row group whole.

    Raises:
        ValueError: If it is damaged; its rows are malformed then.
    """
    with _open(path, source) as file:
        try:
            return file.read_row_group(number).to_pylist()
        except Exception as error:  # of pyarrow, or of the library of any protocol
            text = " ".join(str(error).split())
            raise ValueError(
                f"cannot be read ({text}), allowed: a whole row group; write the file again"
            ) from error


def _open(path: str, source: str) -> Any:
    """Open a parquet file, which knows its row groups before any of them is read."""
    from fsspec.core import url_to_fs
    from pyarrow import parquet

    try:
        if "://" not in path:
            return parquet.ParquetFile(path)
        system, place = url_to_fs(path)
        return parquet.ParquetFile(system.open(place, "rb"))
    except Exception as error:  # of pyarrow, or of the library of any protocol
        raise ValueError(
            f"{source}: {path} cannot be read ({error}), allowed: a parquet file"
        ) from error
