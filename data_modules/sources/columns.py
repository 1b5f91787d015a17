"""Rows of named columns, as tables and archives have them, read into Examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_modules.sources.conversations import first_words, read_turns, with_placeholders
from data_modules.sources.values import choice_of, list_of, text_of
from mmlite.errors import RowError
from mmlite.images import resolve_inside
from mmlite.records import Example, ImageRef

USUAL: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "question_id", "index"),
    "conversations": ("conversations", "messages", "texts"),
    "images": ("images", "image"),
    "question": ("question",),
    "answers": ("answers", "answer"),
    "choices": ("choices", "options"),
    "caption": ("caption", "text"),
    "info": ("info",),
    "extraction": ("extraction",),
    "category": ("category",),
}
"""Names that are looked for where a column is not named; the first that is there counts."""


@dataclass(frozen=True)
class Columns:
    """Which column holds what; null looks for the usual names, which are listed with each.

    A name that is empty, or a list without names, says that no column does.

    Attributes:
        id: What the row is called: `id`, `question_id`, `index`.
        conversations: Turns, as in LLaVA's JSON or a chat: `conversations`, `messages`, `texts`.
        images: Image, or list of images, or several columns: `images`, `image`.
        question: What is asked, where there are no turns: `question`.
        answers: Right answer, or a list of them; of a choice its text, letter, or number from 0:
            `answers`, `answer`.
        choices: List of options, or one column for each: `choices`, `options`.
        caption: Description of the image: `caption`, `text`.
        info: What of the image the question is about, without the question: `info`.
        extraction: What of the image the question needs: `extraction`.
        category: Kind of row, for tables by category: `category`.
    """

    id: str | None = None
    conversations: str | None = None
    images: str | list[str] | None = None
    question: str | None = None
    answers: str | None = None
    choices: str | list[str] | None = None
    caption: str | None = None
    info: str | None = None
    extraction: str | None = None
    category: str | None = None

    def check(self, there: Sequence[str], source: str) -> None:
        """Refuse names that no column has.

        Args:
            there: Names of all columns.
            source: Named in the message.

        Raises:
            ValueError: If a name is not there, or no column says what is to be learnt.
        """
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            named = () if value is None else self.find(field.name, there)
            if missing := [name for name in named if name not in there]:
                problems.append(f"columns.{field.name}: got {', '.join(missing)}")
        if problems:
            raise ValueError(f"{source}: {'; '.join(problems)}, allowed: {', '.join(there)}")
        if not any(self.find(name, there) for name in ("conversations", "question", "caption")):
            raise ValueError(
                f"{source}: got columns {', '.join(there)}, none of which has a usual name of "
                "conversations, question or caption; say which does under columns"
            )

    def find(self, field: str, there: Sequence[str] | Mapping[str, Any]) -> tuple[str, ...]:
        """Return the columns that hold a field; empty if none does."""
        value = getattr(self, field)
        if value is not None:
            named = (value,) if isinstance(value, str) else tuple(value)
            return tuple(filter(None, named))
        return next(((name,) for name in USUAL[field] if name in there), ())

    def example(
        self,
        record: Mapping[str, Any],
        *,
        row: int,
        source: str,
        task: str = "",
        images: Sequence[ImageRef] | None = None,
        image_root: Path | None = None,
        place: str = "",
    ) -> Example:
        """Turn one row into an Example.

        With turns it is a conversation. Without, it says what is known, and the data module asks.

        Args:
            record: Values by column.
            row: Its number in the source.
            source: Name of the source.
            task: Of rows that have none; empty tells it from what a row has.
            images: Its images, where they do not lie in a column.
            image_root: Folder of images that are given by path.
            place: File and place in it, as errors name them.

        Raises:
            RowError: If a value cannot be read.
        """
        if images is None:
            found = [self._value(record, "images")]
            images = [image for value in found for image in _images(value, image_root)]
        turns = self._value(record, "conversations")
        read = () if turns is None else with_placeholders(read_turns(turns), len(images))
        question, choices = self._text(record, "question"), self._choices(record)
        answers = self._answers(record, choices)
        if read and not question:
            question, answer = first_words(read)
            answers = answers or (answer,)
        caption = self._text(record, "caption") or None
        if not read and not question and caption is None:
            raise RowError("got neither turns, question nor caption, allowed: one of them")
        known = "multiple_choice" if choices else "short_answer" if question else "caption"
        named = self._value(record, "id")
        return Example(
            id=f"{source}-{row}" if named is None else text_of(named, self._place("id", record)),
            turns=read,
            images=tuple(images),
            task=task or ("" if read else known),
            question=question,
            category=self._text(record, "category") or source,
            group=source,
            choices=choices,
            answers=answers,
            info=self._text(record, "info"),
            extraction=self._text(record, "extraction") or None,
            caption=caption,
            source=source,
            row=row,
            place=place,
        )

    def _value(self, record: Mapping[str, Any], field: str) -> Any:
        """Return what a row has of a field, without what it leaves empty."""
        found = self.find(field, record)
        values = [value for name in found if (value := record.get(name)) is not None]
        return (values or None) if len(found) > 1 else (values[0] if values else None)

    def _text(self, record: Mapping[str, Any], field: str) -> str:
        value = self._value(record, field)
        return "" if value is None else text_of(value, self._place(field, record)).strip()

    def _choices(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        found, place = self.find("choices", record), self._place("choices", record)
        if len(found) > 1:
            values = [record.get(name) for name in found]
            while values and values[-1] is None:  # rows may have fewer options than others
                values.pop()
        else:
            values = list_of(self._value(record, "choices"))
        return tuple(text_of(value, place) for value in values)

    def _answers(self, record: Mapping[str, Any], choices: tuple[str, ...]) -> tuple[str, ...]:
        place = self._place("answers", record)
        values = list_of(self._value(record, "answers"))
        if choices:
            return tuple(choice_of(value, choices, place) for value in values)
        return tuple(text_of(value, place) for value in values)

    def _place(self, field: str, record: Mapping[str, Any]) -> str:
        """Return how messages name what a row has of a field: the field, and its columns."""
        columns = ", ".join(self.find(field, record))
        return field if columns == field else f"{field} (column {columns})"


def _images(value: Any, root: Path | None) -> list[ImageRef]:
    """Return the images of a column: bytes, paths, or how Hugging Face stores either."""
    if value is None:
        return []
    if isinstance(value, list):
        return [image for item in value for image in _images(item, root)]
    if isinstance(value, Mapping) and {"bytes", "path"} & set(value):
        data = value.get("bytes")
        value = value.get("path") if data is None else data
        if value is None:
            raise RowError("images: got neither bytes nor a path of an image", "unreadable_image")
    if isinstance(value, bytes):
        return [ImageRef(data=value)]
    if not isinstance(value, str):
        raise RowError(
            f"images: got {type(value).__name__}, allowed: bytes, a path, or a list of them"
        )
    if root is None:
        raise RowError(
            f"images: got the path {value!r}, allowed: paths under image_root; give image_root"
        )
    return [ImageRef(path=str(resolve_inside(root, value)))]
