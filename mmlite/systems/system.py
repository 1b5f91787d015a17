"""Systems: answer Examples, in one stage or two."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from mmlite.generation import Decoding, Request
from mmlite.prompts import PromptSet
from mmlite.records import IMAGE_PLACEHOLDER, Example, Prediction, Turn
from mmlite.scenes import count_facts
from mmlite.systems.perceivers import Perceiver
from mmlite.systems.reasoners import Reasoner
from mmlite.systems.store import StoredEngine
from mmlite.tasks import get_task

END_TO_END = "end_to_end"
"""Stands for perceiver and reasoner where one model does both."""

FactScorer = Callable[[str, Example], Mapping[str, int] | None]
"""Counts the facts of a perceiver's text: found, missed, invented and true; None if unknown."""


def system_name(perceiver: str, reasoner: str) -> str:
    """Return the name of a two-stage system, such as `extract_think`."""
    return f"{perceiver}_{reasoner}"


class System(ABC):
    """Answers Examples.

    Attributes:
        name: Stands in predictions.
    """

    name: str

    @abstractmethod
    def answer(self, examples: Sequence[Example], *, seed: int = 0) -> list[Prediction]:
        """Return a prediction for each Example.

        Args:
            examples: What is asked.
            seed: Of the run that made the models; it stands in the predictions.
        """


class EndToEnd(System):
    """A vision-language model that answers directly.

    Args:
        engine: Of the model.
        prompts: Where the task's answer prompt comes from.
        size: Name of the model's size.
        decoding: How it writes.
        images: Whether it sees the images; without them it is the blind baseline.
    """

    def __init__(
        self,
        engine: StoredEngine,
        prompts: PromptSet,
        *,
        size: str,
        decoding: Decoding,
        images: bool = True,
    ) -> None:
        self.name = END_TO_END if images else f"{END_TO_END}_blind"
        self.engine = engine
        self.prompts = prompts
        self.size = size
        self.decoding = decoding
        self.images = images

    def answer(self, examples: Sequence[Example], *, seed: int = 0) -> list[Prediction]:
        """Let the model answer."""
        outputs = self.engine.write([self._request(e) for e in examples], self.decoding)
        return [
            _prediction(
                example, output, seed, self.name, (END_TO_END, self.size, END_TO_END, self.size)
            )
            for example, output in zip(examples, outputs, strict=True)
        ]

    def _request(self, example: Example) -> Request:
        task = get_task(example.task)
        text = self.prompts.render(self.prompts.answer_key(task.name), **task.fields(example))
        images = example.images if self.images else ()
        return Request((Turn("user", IMAGE_PLACEHOLDER * len(images) + text),), images)


class TwoStage(System):
    """A perceiver writes, a reasoner answers from the text alone.

    Args:
        perceiver: Sees.
        reasoner: Answers.
        facts: Scores what the perceiver writes.
    """

    def __init__(
        self, perceiver: Perceiver, reasoner: Reasoner, *, facts: FactScorer = count_facts
    ) -> None:
        self.name = system_name(perceiver.name, reasoner.name)
        self.perceiver = perceiver
        self.reasoner = reasoner
        self.facts = facts

    def answer(self, examples: Sequence[Example], *, seed: int = 0) -> list[Prediction]:
        """Let the perceiver write, then the reasoner answer."""
        texts = self.perceiver.perceive(examples)
        outputs = self.reasoner.reason(examples, texts)
        who = (self.perceiver.name, self.perceiver.size, self.reasoner.name, self.reasoner.size)
        return [
            _prediction(example, output, seed, self.name, who, text, self.facts(text, example))
            for example, text, output in zip(examples, texts, outputs, strict=True)
        ]


def _prediction(
    example: Example,
    output: str,
    seed: int,
    system: str,
    who: tuple[str, str, str, str],
    extraction: str | None = None,
    facts: Mapping[str, int] | None = None,
) -> Prediction:
    task = get_task(example.task)
    parsed, score = task.judge(output, example)
    return Prediction(
        id=example.id,
        seed=seed,
        system=system,
        perceiver=who[0],
        perceiver_size=who[1],
        reasoner=who[2],
        reasoner_size=who[3],
        category=example.category,
        group=example.group,
        question=example.question,
        gold=task.golds(example),
        output=output,
        parsed=parsed,
        correct=score == 1.0,
        extraction=extraction,
        scene=example.scene,
        facts=facts,
        cluster=example.cluster,
    )
