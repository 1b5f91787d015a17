"""What every row has to be before it is learnt from or answered."""

from data_modules.sources.base import Row
from mmlite.errors import RowError
from mmlite.records import IMAGE_PLACEHOLDER, Example
from mmlite.tasks import get_task


def check_texts(row: Row) -> None:
    """Stop at a text with half a character, which neither tokenizers nor files take.

    JSON can spell one out: the first or second half of a surrogate pair alone.
    """
    for example in row:
        texts = [example.id, example.question, example.category, example.group, example.cluster]
        texts += [*example.choices, *example.answers, *(turn.text for turn in example.turns)]
        texts += [text for text in (example.extraction, example.caption) if text]
        try:
            "".join(texts).encode()
        except UnicodeEncodeError as error:
            place = example.row_name.encode(errors="backslashreplace").decode()
            raise RowError(
                f"{place}: got a text with {error.object[error.start]!r}, half of a character, "
                "allowed: Unicode text; correct the row"
            ) from error


def check_answers(row: Row) -> None:
    """Stop at an answer that is none of its choices, before anything is learnt from it."""
    for example in row:
        if example.choices and example.task:
            get_task(example.task).golds(example)


def check_turns(example: Example) -> None:
    """Stop at an image or an empty text where a model would learn it."""
    for number, turn in enumerate(example.turns):
        place = f"{example.row_name}: turn {number}"
        if turn.role != "user" and IMAGE_PLACEHOLDER in turn.text:
            raise RowError(
                f"{place}: got {IMAGE_PLACEHOLDER} in what the {turn.role} says, allowed: in what "
                "the user says",
                "wrong_placeholders",
            )
        if turn.trained and not turn.text.strip():
            raise RowError(f"{place}: got no text to learn, allowed: any", "empty_answer")


def need(example: Example, field: str) -> str:
    """Return a text of an Example that training needs.

    Raises:
        ValueError: If it is not there.
    """
    value = getattr(example, field)
    if not value:
        raise ValueError(
            f"{example.row_name}: got no {field}, which this data module trains on; allowed: "
            "sources that know it"
        )
    return value
