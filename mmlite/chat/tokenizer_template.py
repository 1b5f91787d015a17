"""The tokenizer's own chat template, split into what is learnt and what is not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from mmlite.chat.base import Chat, Segment
from mmlite.records import Turn

# Noncharacters of Unicode: marks around each turn's text that no text has.
START, END = "\ufdd0", "\ufdd1"

_MARKS = str.maketrans("", "", START + END)


@dataclass(frozen=True)
class TokenizerTemplate(Chat):
    """The Jinja template that a tokenizer came with, such as Qwen3's.

    What a template writes may depend on the whole conversation: Qwen3's puts an empty thinking
    block before the last answer alone, and leaves the thoughts of earlier ones out. So a
    conversation is rendered once, with marks around each turn's text, and split at the marks. It
    is rendered again without, and refused if that gives another text.

    Of a trained turn, what the template leaves of its text is learnt, and the special token that
    ends it.

    Attributes:
        thinking: Told to templates that know thinking (`enable_thinking`). Qwen3's, without, puts
            an empty thinking block where the answer begins.
        default_system: System turn of a conversation that has none; empty: none is added.
    """

    thinking: bool = False
    default_system: str = ""

    def segments(
        self, turns: Sequence[Turn], *, tokenizer: PreTrainedTokenizerBase, answer: bool = False
    ) -> list[Segment]:
        """Return the rendered conversation, split where learning begins and ends."""
        if self.default_system and not (turns and turns[0].role == "system"):
            turns = [Turn("system", self.default_system), *turns]
        text, turns = self._marked(turns, tokenizer, answer)
        special = _special_tokens(tokenizer)
        found: list[Segment] = []
        place = 0
        for turn in turns:
            start, end = self._span(turn, text, place, tokenizer)
            if turn.trained:
                found.append(Segment(text[place:start], False))
                after = end + 1 + _end_length(text[end + 1 :].partition(START)[0], special)
                found.append(Segment(text[start:after], True))
                place = after
            else:
                found.append(Segment(text[place : end + 1], False))
                place = end + 1
        found.append(Segment(text[place:], False))
        return _merged(found)

    def end(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return the special token that ends an assistant's turn."""
        turns = (Turn("user", "a"), Turn("assistant", "b", trained=True))
        learnt = [s.text for s in self.segments(turns, tokenizer=tokenizer) if s.learnt]
        if not learnt[0].startswith("b"):
            raise _unsplit("changes what is said")
        return learnt[0].removeprefix("b")

    def _marked(
        self, turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, answer: bool
    ) -> tuple[str, Sequence[Turn]]:
        """Return the conversation as text with marks, and its turns as the template takes them."""
        for as_taken in _as_templates_take(turns):
            marked = [replace(turn, text=START + turn.text + END) for turn in as_taken]
            text = self._rendered(marked, tokenizer, answer)
            same = text.translate(_MARKS) == self._rendered(as_taken, tokenizer, answer)
            if same and text.count(END) == len(turns):
                return text, as_taken
        raise _unsplit("changes what is said in a way that cannot be followed")

    def _rendered(
        self, turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase, answer: bool
    ) -> str:
        if not tokenizer.chat_template:
            raise ValueError(
                "processor.chat: got the tokenizer's own template, but the tokenizer has none; "
                "allowed: mmlite.chat.ChatTemplate with strings, or mmlite.chat.qwen_1_5"
            )
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        try:
            text: Any = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=answer,
                enable_thinking=self.thinking,
            )
        except TemplateError as error:
            roles = ", ".join(turn.role for turn in turns)
            raise ValueError(
                f"processor.chat: got turns of {roles}, which the tokenizer's template refuses "
                f"({error}); leave them out, or use mmlite.chat.ChatTemplate"
            ) from error
        assert isinstance(text, str), "nothing was tokenized"
        return text

    def _span(
        self, turn: Turn, text: str, place: int, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[int, int]:
        """Return where a turn's text begins and where its mark of the end stands."""
        end = text.index(END, place)
        start = text.rfind(START, place, end)
        if start >= 0:
            return start + 1, end
        # The template cut the text's beginning off, as Qwen3's does with thoughts, and wrote it
        # anew or left it out: all that follows the words a model is asked with is the turn's.
        header = self._header(tokenizer)
        start = text.rfind(header, place, end)
        if turn.role != "assistant" or not header or start < 0:
            raise _unsplit(f"moves the text of a turn ({turn.role})")
        return start + len(header), end

    def _header(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return what the template writes before an assistant's own words, thoughts included."""
        asked = [Turn("user", "a")]
        thinking = replace(self, thinking=True)
        with_header = thinking._rendered(asked, tokenizer, True)
        return with_header.removeprefix(thinking._rendered(asked, tokenizer, False))


def _as_templates_take(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    """Yield a conversation as it is, then with less and less of the space around its turns.

    Qwen3's template drops line breaks before an answer, and leaves what a user says alone; others
    strip answers, or all turns.
    """
    yield turns
    yield [_answer_as(turn, turn.text.lstrip("\n")) for turn in turns]
    yield [_answer_as(turn, turn.text.strip()) for turn in turns]
    yield [replace(turn, text=turn.text.strip()) for turn in turns]


def _answer_as(turn: Turn, text: str) -> Turn:
    return replace(turn, text=text) if turn.role == "assistant" else turn


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    tokens = sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True)
    return re.compile(r"\s*(?:" + "|".join(re.escape(token) for token in tokens) + ")")


def _end_length(after: str, special: re.Pattern[str]) -> int:
    """Return how much of what follows a turn's text ends it."""
    found = special.match(after)
    if found is None:
        raise _unsplit(f"ends a turn with {after[:20]!r}, which is no special token")
    return found.end()


def _merged(segments: Sequence[Segment]) -> list[Segment]:
    """Join neighbours that are both learnt or both not, and take the marks out."""
    merged: list[Segment] = []
    for segment in segments:
        text = segment.text.translate(_MARKS)
        if merged and merged[-1].learnt == segment.learnt:
            merged[-1] = Segment(merged[-1].text + text, segment.learnt)
        elif text:
            merged.append(Segment(text, segment.learnt))
    return merged


def _unsplit(problem: str) -> ValueError:
    return ValueError(
        f"processor.chat: the tokenizer's template {problem}, so what is learnt cannot be told "
        "from the rest; allowed: templates that keep the text of turns and end each with a "
        "special token; write the template as strings (mmlite.chat.ChatTemplate)"
    )
