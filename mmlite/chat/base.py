"""Chat: what the processor asks of a chat template."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from mmlite.records import Turn


class Segment(NamedTuple):
    """A piece of a conversation's text that is tokenized by itself.

    Attributes:
        text: With `<image>` where an image goes.
        learnt: Whether its tokens are learnt.
    """

    text: str
    learnt: bool


class Chat(ABC):
    """How turns become text. Subclass it for another way.

    What is learnt of a trained turn is its text and what ends it, nothing else.

    Attributes:
        image_start: Before the tokens of an image.
        image_end: After the tokens of an image.
    """

    image_start: str = ""
    image_end: str = ""

    @abstractmethod
    def segments(
        self, turns: Sequence[Turn], *, tokenizer: PreTrainedTokenizerBase, answer: bool = False
    ) -> list[Segment]:
        """Return the text of a conversation in pieces.

        Args:
            turns: The conversation.
            tokenizer: It may have a template of its own.
            answer: Whether the text ends where an assistant's answer begins.

        Raises:
            ValueError: If these turns cannot be written.
        """

    @abstractmethod
    def end(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return what ends an assistant's turn, by which a model knows to stop."""
