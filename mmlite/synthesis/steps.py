"""The three things teachers are asked for, and what is taken of what they write.

The prompts are the paper's (arXiv:2511.17487, sec. 5, supplement, figures A5 to A7): an info for
each question, statements of all questions and answers of a row, and a description that holds them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mmlite.generation import Request
from mmlite.prompts import PromptSet
from mmlite.records import IMAGE_PLACEHOLDER, Turn
from mmlite.synthesis.checks import joined_info, leak_of, wrong_with
from mmlite.synthesis.images import shown
from mmlite.synthesis.rows import Rejected, SourceRow
from mmlite.synthesis.spec import Checks
from mmlite.systems import Written, read_info
from mmlite.tasks import without_thought

MAX_TOLD = 300
"""Most characters of a bad text in the list of what was left out."""


class Step(ABC):
    """One thing teachers are asked for.

    Attributes:
        role: Who is asked.
        noun: What is written, in kinds of what is left out.
        texts: What was taken, by number of the row.
    """

    role: ClassVar[str]
    noun: ClassVar[str]

    def __init__(self, prompts: PromptSet) -> None:
        self.prompts = prompts
        self.texts: dict[int, str] = {}

    @abstractmethod
    def requests(self, row: SourceRow) -> list[Request]:
        """Return what the teacher is asked about a row.

        Raises:
            RowError: If an image cannot be read.
        """

    def take(self, row: SourceRow, written: Sequence[Written]) -> Rejected | None:
        """Take what the teacher wrote about a row.

        Args:
            row: The row.
            written: For each of its requests.

        Returns:
            Why the row is left out, or None.
        """
        (found,) = written
        text = without_thought(found.text).strip()
        if (wrong := wrong_with(found, text)) is not None:
            return self._rejected(row, wrong, found.text)
        self.texts[row.number] = text
        return None

    def _rejected(self, row: SourceRow, kind: str, told: str) -> Rejected:
        return Rejected(row.number, row.example.id, f"{self.noun}_{kind}", told[:MAX_TOLD])


class Info(Step):
    """What the questions of a row are about; the teacher sees neither image nor answer."""

    role = "info"
    noun = "info"

    def __init__(self, prompts: PromptSet, checks: Checks) -> None:
        super().__init__(prompts)
        self.checks = checks

    def requests(self, row: SourceRow) -> list[Request]:
        """Ask about each question whose info the source does not know."""
        prompts = [
            self.prompts.render("question_info", question=pair.subject)
            for pair in row.pairs
            if not pair.info
        ]
        return [Request((Turn("user", prompt),)) for prompt in prompts]

    def take(self, row: SourceRow, written: Sequence[Written]) -> Rejected | None:
        """Join the infos of a row to one list, and look for leaks in it."""
        texts = iter(written)
        infos = []
        for pair in row.pairs:
            found = Written(pair.info) if pair.info else next(texts)
            info = pair.info or read_info(found.text)
            if (wrong := wrong_with(found, info)) is not None:
                return self._rejected(row, wrong, found.text)
            infos.append(info)
        info = joined_info(infos)
        if leak := leak_of(info, row.pairs, self.checks):
            return self._rejected(row, leak[0], f"{leak[1]!r} in {info!r}")
        self.texts[row.number] = info
        return None


class Statements(Step):
    """All questions and answers of a row as statements; the teacher sees no image."""

    role = "statements"
    noun = "statements"

    def requests(self, row: SourceRow) -> list[Request]:
        """Ask about all pairs at once."""
        pairs = "\n".join(
            self.prompts.render(
                "pair", number=str(number), question=pair.question, answer=pair.answers[0]
            )
            for number, pair in enumerate(row.pairs, start=1)
        )
        key = "statements.many" if len(row.pairs) > 1 else "statements"
        prompt = self.prompts.render(key, pairs=pairs, number=str(len(row.pairs)))
        return [Request((Turn("user", prompt),))]


class Description(Step):
    """The image, described so that the statements stand in it: the extraction that is learnt.

    Args:
        prompts: Where the prompt comes from.
        statements: By number of the row.
        image_px: Width and height that images are stretched to; None shows them as they are.
    """

    role = "describe"
    noun = "description"

    def __init__(
        self, prompts: PromptSet, statements: Mapping[int, str], image_px: int | None
    ) -> None:
        super().__init__(prompts)
        self.statements = statements
        self.image_px = image_px

    def requests(self, row: SourceRow) -> list[Request]:
        """Ask with all images of the row."""
        prompt = self.prompts.render("grounded_description", statements=self.statements[row.number])
        images = shown(row.images, self.image_px)
        return [Request((Turn("user", IMAGE_PLACEHOLDER * len(images) + prompt),), images)]


def steps_of(prompts: PromptSet, checks: Checks, image_px: int | None) -> dict[str, Step]:
    """Return the steps by their role."""
    statements = Statements(prompts)
    steps = (Info(prompts, checks), statements, Description(prompts, statements.texts, image_px))
    return {step.role: step for step in steps}
