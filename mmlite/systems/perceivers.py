"""Perceivers: image and question to text."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from mmlite.generation import Decoding, Request
from mmlite.prompts import PromptSet, extraction_prompt
from mmlite.records import IMAGE_PLACEHOLDER, Example, Turn
from mmlite.scenes import kind_of
from mmlite.systems.store import StoredEngine


class Perceiver(ABC):
    """Writes down what it sees. Subclass it for another way to see.

    Attributes:
        name: Stands in predictions.
        size: Name of its language model's size; empty if it has none.
    """

    name: str
    size: str = ""

    @abstractmethod
    def perceive(self, examples: Sequence[Example]) -> list[str]:
        """Return a text for each Example."""


class ModelPerceiver(Perceiver):
    """A vision-language model that extracts or captions.

    Args:
        engine: Of the model.
        prompts: Where the prompt `extraction` or `caption` comes from.
        name: `extract` asks for the details a question needs; `caption` describes the image.
        size: Name of the model's size.
        decoding: How it writes.
    """

    def __init__(
        self,
        engine: StoredEngine,
        prompts: PromptSet,
        *,
        name: Literal["extract", "caption"],
        size: str,
        decoding: Decoding,
    ) -> None:
        if name not in ("extract", "caption"):
            raise ValueError(f"perceiver: got {name!r}, allowed: extract, caption")
        self.engine = engine
        self.prompts = prompts
        self.name = name
        self.size = size
        self.decoding = decoding

    def perceive(self, examples: Sequence[Example]) -> list[str]:
        """Let the model write."""
        requests = [
            Request((Turn("user", self._text(example)),), example.images) for example in examples
        ]
        return self.engine.write(requests, self.decoding)

    def _text(self, example: Example) -> str:
        images = IMAGE_PLACEHOLDER * len(example.images)
        if self.name == "caption":
            return images + self.prompts.render("caption")
        return images + extraction_prompt(self.prompts, example)


class OraclePerceiver(Perceiver):
    """Reads the ground truth: what perfect perception would write.

    Args:
        of: `question` writes the gold extraction, `scene` every fact of the scene,
            `caption` the gold caption, which is the ceiling of captioning.
    """

    def __init__(self, of: str) -> None:
        if of not in ("question", "scene", "caption"):
            raise ValueError(f"oracle: got {of!r}, allowed: question, scene, caption")
        self.of = of
        self.name = f"oracle_{of}"

    def perceive(self, examples: Sequence[Example]) -> list[str]:
        """Read the ground truth."""
        return [self._text(example) for example in examples]

    def _text(self, example: Example) -> str:
        known = {"question": example.extraction, "caption": example.caption}
        kind = kind_of(example.scene)
        if self.of == "scene" and kind and example.scene:
            known["scene"] = kind.describe(example.scene)
        found = known.get(self.of)
        if found is None:
            raise ValueError(
                f"{self.name}: {example.source} row {example.row} ({example.id}) has no ground "
                f"truth for it; allowed: sources that know the {self.of}, or another perceiver"
            )
        return found


class BlindPerceiver(Perceiver):
    """Sees nothing: what a reasoner can guess from the question alone."""

    name = "blind"

    def perceive(self, examples: Sequence[Example]) -> list[str]:
        """Return empty texts."""
        return ["" for _ in examples]
