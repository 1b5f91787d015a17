"""NLVR as a source: sentences about pictures of three boxes, true or false.

A line of the corpus's `test/test.json`, and the Example of its first picture:

    {"identifier": "3776-0", "sentence": "There is a tower ...", "label": "true",
     "directory": "2", "structured_rep": [[{"x_loc": 40, ...}], [...], [...]], ...}

    Example(id="test-3776-0-0", task="yes_no", question="There is a tower ...", answers=("true",),
            images=(ImageRef(path="ROOT/test/images/2/test-3776-0-0.png"),), ...)
"""

import hashlib
import os
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from data_modules.sources.base import Row, Source, unknown_split
from data_modules.sources.files import parse_json
from data_modules.sources.lazy import LazyRows
from mmlite.nlvr import BoxScene, describe, extract, is_tower
from mmlite.nlvr.scene import ORDERS
from mmlite.records import Example, ImageRef

LABELS = ("true", "false")
FIELDS = ("identifier", "sentence", "label", "structured_rep")

Numbered = tuple[int, Mapping[str, Any]]
"""A record with its row in the file, from 0."""


class NLVR(Source):
    """The Cornell Natural Language Visual Reasoning corpus in its official layout.

    `root` holds one folder per part: `FOLDER/FOLDER.json`, and the pictures anywhere under
    `FOLDER/images`, named `FOLDER-n-m-k.png`; k is the permutation of the boxes. Any part of
    that layout can be any split: `train`, `dev`, `test` or `hidden`.

    Split rule: without a folder of its own, validation is cut out of the training part by original
    presentation, the n of an identifier n-m. All examples of a presentation, which share its
    sentence, and all six permutations of each go to the same side.

    Args:
        root: Folder of the corpus.
        train: Folder of the training split; null: none.
        validation: Folder of the validation split; null cuts it out of the training part.
        test: Folder of the test split; null: none.
        validation_fraction: Share of the training part's presentations that is cut out; 0: none.
        permutations: Which pictures of an example: `all` six, the `first`, or one at `random`.
        seed: Decides the validation cut and random permutations.
        name: Stands in each Example's `source` and in error messages.
    """

    def __init__(
        self,
        root: str,
        *,
        train: str | None = "hidden",
        validation: str | None = None,
        test: str | None = "test",
        validation_fraction: float = 0.1,
        permutations: Literal["all", "first", "random"] = "all",
        seed: int = 0,
        name: str = "nlvr",
    ) -> None:
        self.name = name
        self.root = Path(root)
        self.validation_fraction = validation_fraction
        self.permutations = permutations
        self.seed = seed
        given = {"train": train, "validation": validation, "test": test}
        self.folders = {split: folder for split, folder in given.items() if folder is not None}
        self.is_cut = train is not None and validation is None and validation_fraction > 0
        problems = [
            f"{split}: got {folder!r}, but there is no file {self._file(folder)}"
            for split, folder in self.folders.items()
            if not self._file(folder).is_file()
        ]
        if not self.folders:
            problems.append("got no folder, allowed: at least one of train, validation, test")
        if len(set(self.folders.values())) < len(self.folders):
            problems.append(f"got {self.folders}, allowed: another folder for each split")
        if not 0 <= validation_fraction < 1:
            problems.append(
                f"validation_fraction: got {validation_fraction}, allowed: 0 to below 1"
            )
        if permutations not in ("all", "first", "random"):
            problems.append(f"permutations: got {permutations!r}, allowed: all, first, random")
        if problems:
            raise ValueError(f"{name} (root {root}): " + "; ".join(problems))
        self._places: dict[str, dict[str, str]] = {}

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, one picture each."""
        allowed = (*self.folders, "validation") if self.is_cut else tuple(self.folders)
        if split not in allowed:
            raise unknown_split(self, split, tuple(dict.fromkeys(allowed)))
        folder = self.folders["train" if self.is_cut and split == "validation" else split]
        records = self._records(split, folder)
        shown = [(record, order) for record in records for order in self._orders(record[1])]
        return LazyRows(len(shown), lambda row: (self._example(folder, *shown[row]),))

    def labels(self, split: str) -> dict[str, str]:
        """Return the label of each example of a split by identifier, as the corpus has it."""
        folder = self.folders["train" if self.is_cut and split == "validation" else split]
        return {r["identifier"]: r["label"] for _, r in self._records(split, folder)}

    def _file(self, folder: str) -> Path:
        return self.root / folder / f"{folder}.json"

    def _records(self, split: str, folder: str) -> list[Numbered]:
        if not self.is_cut or split == "test":
            return _read(self._file(folder))
        wanted = split == "validation"
        return [
            (row, record)
            for row, record in self._training
            if (_presentation(record) in self._held_out) == wanted
        ]

    @cached_property
    def _training(self) -> list[Numbered]:
        return _read(self._file(self.folders["train"]))

    @cached_property
    def _held_out(self) -> frozenset[str]:
        """The presentations that are cut out for validation."""
        found = {_presentation(record) for _, record in self._training}
        number = round(len(found) * self.validation_fraction)
        return frozenset(sorted(found, key=lambda name: _hash(f"{self.seed} {name}"))[:number])

    def _orders(self, record: Mapping[str, Any]) -> Sequence[int]:
        if self.permutations == "all":
            return range(len(ORDERS))
        if self.permutations == "first":
            return (0,)
        rng = random.Random(f"{self.seed} {record['identifier']}")
        return (rng.randrange(len(ORDERS)),)

    def _example(self, folder: str, numbered: Numbered, order: int) -> Example:
        row, record = numbered
        picture = f"{folder}-{record['identifier']}-{order}"
        scene = BoxScene.from_corpus(record["structured_rep"], order)
        sentence = record["sentence"]
        return Example(
            id=picture,
            turns=(),
            images=(ImageRef(path=self._path(folder, picture, record.get("directory"))),),
            task="yes_no",
            question=sentence,
            category="tower" if any(is_tower(box) for box in scene.boxes) else "scatter",
            group="nlvr",
            answers=(record["label"],),
            extraction=extract(scene, sentence),
            caption=describe(scene),
            scene=scene.to_json(),
            source=self.name,
            row=row,
            place=f"{self._file(folder)} line {row + 1}",
            cluster=f"{folder}-{_presentation(record)}",
        )

    def _path(self, folder: str, picture: str, directory: object) -> str:
        """Return the path of a picture: where the record says, or wherever it is found."""
        images = self.root / folder / "images"
        likely = images / str(directory) / f"{picture}.png"
        if likely.is_file():
            return str(likely)
        if folder not in self._places:
            self._places[folder] = {
                file: os.path.join(where, file)
                for where, _, files in os.walk(images)
                for file in files
            }
        found = self._places[folder].get(f"{picture}.png")
        if found is None:
            raise ValueError(
                f"{self.name}: got no picture {picture}.png under {images}, allowed: all six "
                "permutations of every example; complete the folder"
            )
        return found


def _read(path: Path) -> list[Numbered]:
    """Read a file of records, one a line."""
    records: list[Numbered] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _checked(parse_json(line, "an object"))
        except ValueError as error:
            raise ValueError(f"{path} line {number}: {error}") from error
        records.append((number - 1, record))
    return records


def _checked(record: Any) -> Mapping[str, Any]:
    missing = [f for f in FIELDS if f not in record] if isinstance(record, dict) else list(FIELDS)
    if missing:
        got = f"no {', '.join(missing)}" if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"got {got}, allowed: an object with {', '.join(FIELDS)}")
    label = str(record["label"]).lower()
    if label not in LABELS:
        raise ValueError(f"label: got {record['label']!r}, allowed: {', '.join(LABELS)}")
    first, dash, last = str(record["identifier"]).partition("-")
    if not (dash and first.isdigit() and last.isdigit()):
        raise ValueError(f"identifier: got {record['identifier']!r}, allowed: n-m, such as 3776-0")
    BoxScene.from_corpus(record["structured_rep"])  # stops at unknown items
    return {**record, "label": label}


def _presentation(record: Mapping[str, Any]) -> str:
    return str(record["identifier"]).partition("-")[0]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
