"""A new source: questions about pictures from a CSV file."""

import csv
from collections.abc import Sequence
from pathlib import Path

from data_modules.sources import Row, Source
from mmlite.images import resolve_inside
from mmlite.records import Example, ImageRef


class CSVQuestions(Source):
    """Rows of a CSV file with the columns `image`, `question` and `answer`.

    A row and the Example it becomes:

        image,question,answer
        one.png,how many shapes are green?,2

        Example(id="csv-0", images=(ImageRef(path="FOLDER/one.png"),), task="short_answer",
            question="how many shapes are green?", answers=("2",), turns=())

    Args:
        train: The file of the training split; pictures lie beside it.
    """

    name = "csv"

    def __init__(self, train: str) -> None:
        self.path = Path(train)
        if not self.path.is_file():
            raise ValueError(f"csv: got {train!r}, but there is no such file; check the path")

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of the file; each is one question."""
        if split != "train":
            raise ValueError(f"csv: got split {split!r}, allowed: train")
        with self.path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        return [(self._example(line, number),) for number, line in enumerate(table)]

    def _example(self, line: dict[str, str], number: int) -> Example:
        return Example(
            id=f"csv-{number}",
            turns=(),  # the data module asks
            images=(ImageRef(path=str(resolve_inside(self.path.parent, line["image"]))),),
            task="short_answer",
            question=line["question"],
            category="mine",
            group="mine",
            answers=(line["answer"],),
            source=self.name,
            row=number,
        )
