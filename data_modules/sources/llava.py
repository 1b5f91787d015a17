r"""LLaVA-format conversations, JSON or JSON lines, as a source.

A record and the Example it becomes (LLaVA, arXiv:2304.08485, sec. 3; images under `image_root`):

    {"id": "7", "image": "cats/7.jpg", "conversations": [
        {"from": "human", "value": "<image>\nHow many cats?"}, {"from": "gpt", "value": "Two."}]}

    Example(id="7", images=(ImageRef(path="ROOT/cats/7.jpg"),), turns=(
        Turn("user", "<image>\nHow many cats?"), Turn("assistant", "Two.", trained=True)))
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_modules.sources.base import Row, Source, unknown_split
from data_modules.sources.conversations import first_words, read_turns, with_placeholders
from data_modules.sources.files import parse_json
from data_modules.sources.lazy import LazyRows
from data_modules.sources.values import shown, text_of
from mmlite.errors import RowError
from mmlite.images import resolve_inside
from mmlite.records import Example, ImageRef, Turn
from mmlite.tasks import get_task

KNOWN_KEY = "mmlite"
"""Key of a record that holds what is known of its Example besides id, turns and images."""

KNOWN = frozenset(Example.__dataclass_fields__) - {"id", "turns", "images", "place"}
"""What may be known."""

_BLANK = b" \t\r\n\xef\xbb\xbf"
"""Bytes of a line without a record: white space, a byte order mark."""


class LLaVA(Source):
    """Conversations about images in LLaVA's format.

    Every turn of an assistant is trained. A record with images but without `<image>` gets the
    placeholders before its first user turn, each with a line break, as LLaVA writes them; any
    other placeholders stay where they are. A record of `mmlite world --export` is read back as
    the Example it was made of.

    A conversation that the assistant begins is a bad row (`data.bad_rows.wrong_turns`), since
    nothing says what it answers.

    A JSON file is a list and is loaded once; a JSON-lines file (`.jsonl`) is read line by line
    when its rows are needed; blank lines are no rows. Rows are checked when they are read, images
    for being there only.

    Args:
        image_root: Folder that all image paths are relative to, and may not leave.
        train: File of the training split; null: none.
        validation: File of the validation split; null: none.
        test: File of the test split; null: none.
        name: Stands in each Example's `source` and in error messages.
        task: Task that scores answers to rows that do not name their own; empty: not scored.
    """

    def __init__(
        self,
        image_root: str,
        *,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        name: str = "llava",
        task: str = "",
    ) -> None:
        self.name = name
        self.task = task
        self.image_root = Path(image_root)
        given = {"train": train, "validation": validation, "test": test}
        self.files = {split: Path(path) for split, path in given.items() if path is not None}
        problems = [
            f"{split}: got {str(path)!r}, but there is no such file"
            for split, path in self.files.items()
            if not path.is_file()
        ]
        if not self.files:
            problems.append("got no file, allowed: at least one of train, validation, test")
        if not self.image_root.is_dir():
            problems.append(f"image_root: got {image_root!r}, but there is no such folder")
        if problems:
            raise ValueError(f"{name}: " + "; ".join(problems))
        if task:
            get_task(task, may_import=True)  # an unknown name stops here
        self._rows: dict[str, LazyRows] = {}

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, one conversation each."""
        if split not in self.files:
            raise unknown_split(self, split, tuple(self.files))
        if split not in self._rows:
            path = self.files[split]
            is_lines = path.suffix == ".jsonl"
            numbers, record = _open_lines(path) if is_lines else _open_list(path)

            def read(row: int) -> Row:
                number = numbers[row]
                place = f"{path} line {number + 1}" if is_lines else f"{path} row {number}"
                try:
                    return (self._example(record(row), number, place),)
                except ValueError as error:
                    raise RowError.at(place, error) from error

            self._rows[split] = LazyRows(len(numbers), read)
        return self._rows[split]

    def describe(self, split: str) -> Mapping[str, Any]:
        """Return the file, its size in bytes, and the folder of the images."""
        path = self.files[split]
        size = path.stat().st_size
        return {"file": str(path), "file_bytes": size, "image_root": str(self.image_root)}

    def _example(self, record: Any, row: int, place: str) -> Example:
        if not isinstance(record, Mapping):
            raise ValueError(f"got {type(record).__name__}, allowed: a JSON object")
        images = self._images(record.get("image"))
        turns = with_placeholders(read_turns(record.get("conversations")), len(images))
        known = record.get(KNOWN_KEY)
        if known is None:
            known = self._known(turns, row)
        if not isinstance(known, Mapping):
            raise ValueError(f"{KNOWN_KEY}: got {shown(known)}, allowed: an object")
        if unknown := sorted(set(known) - KNOWN):
            raise ValueError(
                f"{KNOWN_KEY}: got keys {unknown}, allowed: fields of Example, "
                f"{', '.join(sorted(KNOWN))}"
            )
        name = text_of(record.get("id", f"{self.name}-{row}"), "id")
        base = Example(name, turns, images).to_json()
        try:
            example = Example.from_json({**base, **known, "place": place})
        except ValueError as error:
            raise RowError.at(KNOWN_KEY, error) from error
        if example.choices and example.task:
            get_task(example.task).golds(example)  # an answer that is no choice stops here
        return example

    def _images(self, value: Any) -> tuple[ImageRef, ...]:
        paths = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise ValueError(
                f"image: got {shown(value)}, allowed: a path, a list of paths, or null"
            )
        found = [str(resolve_inside(self.image_root, path)) for path in paths]
        return tuple(ImageRef(path=path) for path in found)

    def _known(self, turns: Sequence[Turn], row: int) -> dict[str, Any]:
        """Return what is known of a row that says nothing of itself: its first question."""
        question, answer = first_words(turns)
        return {
            "task": self.task,
            "question": question,
            "category": self.name,
            "group": self.name,
            "answers": [answer],
            "caption": answer if self.task == "caption" else None,
            "extraction": answer if self.task == "extraction" else None,
            "source": self.name,
            "row": row,
        }


def _open_list(path: Path) -> tuple[Sequence[int], Callable[[int], Any]]:
    """Return the numbers of the records of a JSON list, and how to get one."""
    try:
        records = parse_json(path.read_text(encoding="utf-8-sig"), "a JSON list")
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}; a file with one record a line has to be named .jsonl"
        ) from error
    if not isinstance(records, list):
        raise ValueError(f"{path}: got {type(records).__name__}, allowed: a JSON list of records")
    return range(len(records)), records.__getitem__


def _open_lines(path: Path) -> tuple[Sequence[int], Callable[[int], Any]]:
    """Return the numbers of a file's lines that hold a record, and how to read such a line."""
    numbers, offsets = array("q"), array("q")
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if line.strip(_BLANK):
                numbers.append(number)
                offsets.append(offset)
            offset += len(line)

    def read(row: int) -> Any:
        with path.open("rb") as file:
            file.seek(offsets[row])
            return parse_json(file.readline(), "one JSON object")

    return numbers, read
