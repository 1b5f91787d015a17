r"""Rows of question-answer data, read into what teachers are asked about.

A conversation about one image, and its pairs:

    Example("7", turns=(
        Turn("user", "<image>\nHow many cats?"), Turn("assistant", "Two."),
        Turn("user", "What color?"), Turn("assistant", "Gray.")), images=(...,))

    Pair("How many cats?", ("Two.",)), Pair("What color?", ("Gray.",))
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmlite.records import IMAGE_PLACEHOLDER, Example, ImageRef, Turn
from mmlite.tasks import get_task

NO_IMAGE = "no_image"
NO_QUESTION = "no_question"
MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answers.

    Attributes:
        question: Without image placeholders; the options of a multiple-choice question behind it.
        answers: Any of them is right; the first is told to the teacher.
        info: What the source knows of what the question is about; empty if nothing.
        subject: The question without options, which the info is asked for.
    """

    question: str
    answers: tuple[str, ...]
    info: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of the source that can be asked about.

    Attributes:
        number: In the source, from 0.
        example: The first of the row, which says its id, source and category.
        pairs: All questions of the row.
    """

    number: int
    example: Example
    pairs: tuple[Pair, ...]

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """What the questions are about."""
        return self.example.images


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is left out.

    Attributes:
        number: In the source, from 0.
        id: Of its first Example; empty where it could not be read.
        kind: Why, in one word.
        told: Why, in a sentence or by what was written.
    """

    number: int
    id: str
    kind: str
    told: str


def read_row(rows: Sequence[Any], number: int) -> SourceRow | Rejected:
    """Read a row of a source: what can be asked about, or why nothing can.

    Args:
        rows: Of the source; each a tuple of Examples about the same images.
        number: Which.
    """
    try:
        row: Sequence[Example] = rows[number]
        first = row[0]
        if not first.images:
            return Rejected(number, first.id, NO_IMAGE, "nothing to look at")
        pairs = tuple(pair for example in row for pair in pairs_of(example))
    except ValueError as error:
        return Rejected(number, "", getattr(error, "problem", MALFORMED), str(error))
    if not pairs:
        return Rejected(number, first.id, NO_QUESTION, "no question with an answer")
    try:
        known = [first.id, first.category, first.group, first.cluster, first.caption or ""]
        "".join([*known, *(p.question + p.info + "".join(p.answers) for p in pairs)]).encode()
    except UnicodeEncodeError:
        # JSON can spell out half a character, which neither tokenizers nor files take.
        return Rejected(number, "", MALFORMED, f"{first.row_name!a}: half of a character")
    return SourceRow(number, first, tuple(dict.fromkeys(pairs)))


def pairs_of(example: Example) -> Iterator[Pair]:
    """Yield the questions of an Example with their answers.

    What it says of itself (`question`, `answers`) counts before the words of its one exchange,
    which may be those of a prompt around the question.
    """
    spoken = list(_exchanges(example.turns))
    if len(spoken) <= 1 and example.question and example.answers:
        yield Pair(
            _plain(_with_options(example)),
            tuple(_plain(answer) for answer in example.answers),
            example.info,
            _plain(example.question),
        )
        return
    for question, answer in spoken:
        if question and answer:
            yield Pair(question, (answer,), "" if len(spoken) > 1 else example.info, question)


def _exchanges(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    asked = ""
    for turn in turns:
        if turn.role == "user":
            asked = turn.text
        elif turn.role == "assistant":
            yield _plain(asked), _plain(turn.text)


def _with_options(example: Example) -> str:
    if not example.choices:
        return example.question
    options = get_task("multiple_choice").fields(example)["options"]
    return f"{example.question}\n{options}"


def _plain(text: str) -> str:
    return text.replace(IMAGE_PLACEHOLDER, "").strip()
