"""Chat templates made of strings around each turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from mmlite.chat.base import Chat, Segment
from mmlite.records import IMAGE_PLACEHOLDER, Role, Turn


@dataclass(frozen=True)
class ChatTemplate(Chat):
    """Strings before and after each turn; the defaults are the micro-world's.

    Attributes:
        system_start: Before a system turn.
        system_end: After a system turn.
        user_start: Before a user turn.
        user_end: After a user turn.
        assistant_start: Before an assistant turn; also what a model is asked to go on from.
        assistant_end: Ends an assistant turn; learnt with it, so that a model knows to stop.
        assistant_after: After the end of an assistant turn; not learnt.
        image_start: Before the tokens of an image.
        image_end: After the tokens of an image.
        default_system: System turn of a conversation that has none; empty: none is added.
        user_text: Whether a user's words are told; without, only the images of a user turn are.
    """

    system_start: str = ""
    system_end: str = ""
    user_start: str = "<user>"
    user_end: str = ""
    assistant_start: str = "<assistant>"
    assistant_end: str = "<end>"
    assistant_after: str = ""
    image_start: str = ""
    image_end: str = ""
    default_system: str = ""
    user_text: bool = True

    def segments(
        self, turns: Sequence[Turn], *, tokenizer: PreTrainedTokenizerBase, answer: bool = False
    ) -> list[Segment]:
        """Return each turn's text with the strings around it, each tokenized by itself."""
        found = []
        if self.default_system and not (turns and turns[0].role == "system"):
            turns = [Turn("system", self.default_system), *turns]
        for turn in turns:
            start, end, after = self.around(turn.role)
            text = turn.text
            if turn.role == "user" and not self.user_text:
                text = IMAGE_PLACEHOLDER * text.count(IMAGE_PLACEHOLDER)
            found.append(Segment(start, False))
            found.append(Segment(text, turn.trained))
            found.append(Segment(end, turn.trained))
            found.append(Segment(after, False))
        if answer:
            found.append(Segment(self.assistant_start, False))
        return [segment for segment in found if segment.text]

    def end(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return what ends an assistant's turn."""
        return self.assistant_end

    def around(self, role: Role) -> tuple[str, str, str]:
        """Return the string before a turn of a role, what ends it, and what follows."""
        return {
            "system": (self.system_start, self.system_end, ""),
            "user": (self.user_start, self.user_end, ""),
            "assistant": (self.assistant_start, self.assistant_end, self.assistant_after),
        }[role]


def qwen_1_5(system: str = "You are a helpful assistant.") -> ChatTemplate:
    """Return the ChatML template that the paper's perceivers are trained and asked with.

    `qwen_1_5` (also `qwen_3_0`) in LLaVA-OneVision's code; no thinking tags (arXiv:2511.17487,
    sec. 3). Why it differs: there, the marks of turns and line breaks are learnt in all turns by
    mistake; here, an assistant's text and `<|im_end|>` are.

    Args:
        system: System turn of conversations that have none; empty: none is added.
    """
    return ChatTemplate(
        system_start="<|im_start|>system\n",
        system_end="<|im_end|>\n",
        user_start="<|im_start|>user\n",
        user_end="<|im_end|>\n",
        assistant_start="<|im_start|>assistant\n",
        assistant_end="<|im_end|>",
        assistant_after="\n",
        default_system=system,
    )


def plain() -> ChatTemplate:
    """Return the template of connector pretraining: an image, its caption, a line break.

    What a user says is left out (LLaVA, arXiv:2304.08485, sec. 4.2; `plain` in its code).
    """
    return ChatTemplate(user_start="", assistant_start="", assistant_end="\n", user_text=False)
