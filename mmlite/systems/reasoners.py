"""Reasoners: text and question to answer."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from mmlite.generation import Decoding, Request
from mmlite.microworld import Questions
from mmlite.prompts import PromptSet
from mmlite.records import Example, Turn
from mmlite.systems.store import StoredEngine
from mmlite.systems.symbolic import QuestionReader
from mmlite.tasks import get_task


class Reasoner(ABC):
    """Answers a question about an image it does not see, from a description of it.

    Attributes:
        name: Stands in predictions.
        size: Name of its language model's size; empty if it has none.
    """

    name: str
    size: str = ""

    @abstractmethod
    def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
        """Return what is written for each Example, ending in the answer."""


class ModelReasoner(Reasoner):
    """A language model that thinks step by step, or answers directly.

    Args:
        engine: Of the model.
        prompts: Where the prompt `reason_think` or `reason_answer` comes from.
        name: `think` or `answer`.
        size: Name of the model's size.
        decoding: How it writes.
    """

    def __init__(
        self,
        engine: StoredEngine,
        prompts: PromptSet,
        *,
        name: Literal["think", "answer"],
        size: str,
        decoding: Decoding,
    ) -> None:
        if name not in ("think", "answer"):
            raise ValueError(f"reasoner: got {name!r}, allowed: think, answer")
        self.engine = engine
        self.prompts = prompts
        self.name = name
        self.size = size
        self.decoding = decoding

    def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
        """Let the model write."""
        requests = [
            Request((Turn("user", self._text(example, description)),))
            for example, description in zip(examples, descriptions, strict=True)
        ]
        return self.engine.write(requests, self.decoding)

    def _text(self, example: Example, description: str) -> str:
        task = get_task(example.task)
        key = self.prompts.task_key(f"reason_{self.name}", task.name)
        return self.prompts.render(key, description=description, **task.fields(example))


class MajorityReasoner(Reasoner):
    """Always gives the commonest answer: what knowing nothing but the answers' shares is worth.

    Args:
        known: Examples whose answers are counted, by task; of training data, never of the test.
    """

    name = "majority"

    def __init__(self, known: Iterable[Example]) -> None:
        counts: dict[str, Counter[str]] = {}
        for example in known:
            golds = dict.fromkeys(get_task(example.task).golds(example))
            counts.setdefault(example.task, Counter()).update(golds.keys())
        self.answers = {task: count.most_common(1)[0][0] for task, count in counts.items()}

    def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
        """Give the answer of each task."""
        unknown = sorted({example.task for example in examples} - set(self.answers))
        if unknown:
            raise ValueError(
                f"majority reasoner: got questions of task {', '.join(unknown)}, allowed: tasks of "
                f"its training split ({', '.join(self.answers) or 'none'}); use another reasoner"
            )
        return [self.answers[example.task] for example in examples]


class SymbolicReasoner(Reasoner):
    """Derives answers by rule, in the micro-world: perfect reasoning over any description.

    Args:
        questions: The kinds of questions it can derive.
    """

    name = "symbolic"

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        self.reader = QuestionReader(questions)

    def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
        """Derive each answer."""
        return [
            self.questions.derive(self.reader.read(example), description).text
            for example, description in zip(examples, descriptions, strict=True)
        ]
