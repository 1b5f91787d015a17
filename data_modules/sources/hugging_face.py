"""Data sets of the Hugging Face Hub, or a folder of one, as a source."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_modules.sources.base import Row, Source, unknown_split
from data_modules.sources.columns import Columns
from data_modules.sources.lazy import LazyRows
from mmlite.errors import RowError
from mmlite.tasks import get_task

_log = logging.getLogger(__name__)


class HuggingFace(Source):
    """A data set that the `datasets` library loads: from the hub, or from a local folder.

    A local folder needs no network: one that `save_to_disk` wrote, or one with parquet, JSON, CSV
    or image files. The library keeps the rows in an Arrow file on disk, so that any row is read
    at once, however many there are. No code of a data set is run. A data set that was saved without
    splits is one split, of the name it was loaded by, else `train`.

    With `data_modules.QAData` and

        path: HuggingFaceM4/A-OKVQA
        validation: validation
        columns: {answers: correct_choice_idx}
        task: multiple_choice

    a row `{"image": ..., "question": "What is it?", "choices": ["a cup", "a hat"],
    "correct_choice_idx": 1}` becomes an Example whose answer is `a hat`.

    Args:
        path: Local folder, or name on the hub, such as `lmms-lab/LLaVA-OneVision-Data`.
        subset: Which of several data sets under one name (the library calls it configuration).
        revision: Commit or tag on the hub; name one, so that the data stays what it is.
        train: Name of the training split, also a slice such as `train[:90%]`; null: none.
        validation: Name of the validation split; null: none.
        test: Name of the test split; null: none.
        columns: Which column holds what.
        image_root: Folder of images that are given by path; null takes a local `path`.
        name: Stands in each Example's `source` and in error messages.
        task: Task of rows; empty tells it from what a row has.
        cache_folder: Where the library keeps what it prepares; null takes its own place.
    """

    def __init__(
        self,
        path: str,
        *,
        subset: str | None = None,
        revision: str | None = None,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        columns: Columns = Columns(),  # noqa: B008
        image_root: str | None = None,
        name: str = "hugging_face",
        task: str = "",
        cache_folder: str | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.subset = subset
        self.revision = revision
        self.columns = columns
        self.task = task
        self.cache_folder = cache_folder
        given = {"train": train, "validation": validation, "test": test}
        self.splits = {split: found for split, found in given.items() if found is not None}
        if not self.splits:
            raise ValueError(
                f"{name}: got no split, allowed: at least one of train, validation, test"
            )
        if train is not None and train in (validation, test):
            _log.warning(
                "%s: train names the same rows (%s) as validation or test, which then measure what "
                "was learnt by heart; slices such as %s[:90%%] keep them apart",
                name,
                train,
                train,
            )
        if path.startswith((".", "/", "~")) and not Path(path).expanduser().is_dir():
            raise ValueError(
                f"{name}.path: got {path!r}, but there is no such folder; allowed: a local folder, "
                "or a name on the Hugging Face Hub"
            )
        if task:
            get_task(task, may_import=True)  # an unknown name stops here
        folder = Path(path).expanduser()
        if image_root is not None and not Path(image_root).is_dir():
            raise ValueError(f"{name}.image_root: got {image_root!r}, but there is no such folder")
        root = Path(image_root) if image_root is not None else folder
        self.image_root = root if root.is_dir() else None
        self._tables: dict[str, Any] = {}

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split; each is read when it is indexed."""
        if split not in self.splits:
            raise unknown_split(self, split, tuple(self.splits))
        table = self._table(split)

        def read(row: int) -> Row:
            place = f"{self.path} {self.splits[split]} row {row}"
            try:
                # As stored: images stay bytes or paths, and are opened by whoever needs them.
                record = table[row].to_pylist()[0]
                example = self.columns.example(
                    record,
                    row=row,
                    source=self.name,
                    task=self.task,
                    image_root=self.image_root,
                    place=place,
                )
            except ValueError as error:
                raise RowError.at(place, error) from error
            return (example,)

        return LazyRows(len(table), read)

    def describe(self, split: str) -> Mapping[str, Any]:
        """Return where the data set is, which version, and the library's fingerprint of it."""
        return {
            "path": self.path,
            "subset": self.subset,
            "revision": self.revision,
            "split": self.splits[split],
            "fingerprint": self._table(split)._fingerprint,
        }

    def _table(self, split: str) -> Any:
        if split not in self._tables:
            table = self._load(self.splits[split])
            self.columns.check(table.column_names, self.name)
            self._tables[split] = table.with_format("arrow")
        return self._tables[split]

    def _load(self, split: str) -> Any:
        import datasets  # takes a second, which runs without it should not wait
        from datasets.exceptions import DatasetsError

        folder = Path(self.path).expanduser()
        try:
            if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
                return _part_of_saved(datasets.load_from_disk(str(folder)), split)
            return datasets.load_dataset(
                str(folder) if folder.is_dir() else self.path,
                self.subset,
                split=split,
                revision=self.revision,
                cache_dir=self.cache_folder,
            )
        except (ValueError, KeyError, OSError, DatasetsError) as error:
            text = " ".join(str(error).split())
            raise ValueError(
                f"{self.name}: got {self.path!r}, split {split!r}, which cannot be loaded "
                f"({text}); allowed: a local folder, or a data set and a split of the hub"
            ) from error


def _part_of_saved(saved: Any, split: str) -> Any:
    """Return a split, or a slice of one, of what `save_to_disk` wrote.

    Raises:
        ValueError: If there is no such split, or the slice cannot be read.
    """
    import datasets

    tables = saved
    if not isinstance(saved, datasets.DatasetDict):
        whole = str(saved.split or "train").partition("[")[0]
        tables = {whole: saved}
    if split in tables:
        return tables[split]
    sizes = {str(name): len(table) for name, table in tables.items()}
    parts = datasets.ReadInstruction.from_spec(split).to_absolute(sizes)
    found = [
        tables[part.splitname].select(range(part.from_, max(part.from_, part.to))) for part in parts
    ]
    return datasets.concatenate_datasets(found)
