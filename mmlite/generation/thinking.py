"""Thinking within a budget: processors of logits that know whether a row still thinks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmlite.generation.batch_decoder import LogitsProcessor
from mmlite.generation.reflexive import reflexive_ids
from mmlite.generation.requests import Thinking

THOUGHT = "<think>"
"""What a thought begins with, in the templates of reasoning models."""

_LAST_TOKENS = 8
"""Tokens of a prompt that hold the mark and the line ends behind it."""


class ThinkingBudget:
    """Makes each row end its thought within a budget, and blocks tokens in thoughts.

    A row thinks until it has written the end. Within the last part of its budget the logit l of
    the end becomes l + |l| * t / T after t of T tokens; at the end of the budget it is made to
    write what closes the thought. Then nothing is changed, so that the answer is the model's own.

    Why it differs from the published code (arXiv:2511.17487; one request at a time): there the
    factor 1 + t / T makes negative logits smaller, the newline is pushed as much as the end, a
    model that has ended its thought is made to end it again, and tokens stay blocked in answers.

    Args:
        thinking: The budget.
        end_ids: Tokens that end a thought.
        forced_ids: Tokens that a thought is made to end with; the last ones are `end_ids`.
        blocked_ids: Tokens that are never written in a thought.
    """

    def __init__(
        self,
        thinking: Thinking,
        *,
        end_ids: Sequence[int],
        forced_ids: Sequence[int],
        blocked_ids: Sequence[int] = (),
    ) -> None:
        if thinking.max_tokens < len(forced_ids):
            raise ValueError(
                f"decoding.thinking.max_tokens: got {thinking.max_tokens}, allowed: at least the "
                f"{len(forced_ids)} tokens that end a thought"
            )
        self.thinking = thinking
        self.end_ids = list(end_ids)
        self.forced_ids = list(forced_ids)
        self.blocked_ids = torch.tensor(list(blocked_ids), dtype=torch.long)
        self._seen: dict[int, tuple[Sequence[int], int, bool]] = {}

    def __call__(
        self, generated: Sequence[Sequence[int]], logits: Float[Tensor, "row vocabulary"]
    ) -> Float[Tensor, "row vocabulary"]:
        """Return the logits to choose from."""
        thinking = [place for place, ended in enumerate(self._ended(generated)) if not ended]
        bound = [place for place in thinking if self._is_bound(len(generated[place]))]
        if not bound and not (thinking and len(self.blocked_ids)):
            return logits
        logits = logits.clone()
        if len(self.blocked_ids):
            rows = torch.tensor(thinking, device=logits.device).unsqueeze(-1)
            logits[rows, self.blocked_ids.to(logits.device)] = -torch.inf
        for place in bound:
            self._bind(len(generated[place]), logits[place])
        return logits

    def _is_bound(self, written: int) -> bool:
        """Whether a thought of so many tokens is in the last part of its budget."""
        budget = self.thinking.max_tokens
        is_pushed = written > self.thinking.push_fraction * budget
        return written < budget and (is_pushed or written >= budget - len(self.forced_ids))

    def _bind(self, written: int, logits: Tensor) -> None:
        """Push a row towards the end, or make it write the next token of the end."""
        budget = self.thinking.max_tokens
        forced = written - (budget - len(self.forced_ids))
        if forced >= 0:
            logits.fill_(-torch.inf)
            logits[self.forced_ids[forced]] = 0.0
        else:
            logits[self.end_ids[0]] += logits[self.end_ids[0]].abs() * (written / budget)

    def _ended(self, generated: Sequence[Sequence[int]]) -> list[bool]:
        """Return which rows have written the end; only what is new of a row is looked at."""
        known, self._seen = self._seen, {}
        for row in generated:
            same, checked, ended = known.get(id(row), (row, 0, False))
            if same is not row or len(row) < checked:
                checked, ended = 0, False
            start = max(0, checked + 1 - len(self.end_ids))
            ended = ended or _contains(row, self.end_ids, start)
            self._seen[id(row)] = (row, len(row), ended)
        return [self._seen[id(row)][2] for row in generated]


def opens_thought(tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int]) -> str:
    """Return the mark that a prompt opens a thought with, which what is written then lacks.

    Templates of models that always think end a prompt with it. Without it, a thought that is cut
    off could not be told from an answer.
    """
    end = str(tokenizer.decode(list(prompt_ids[-_LAST_TOKENS:]))).rstrip()
    return f"{THOUGHT}\n" if end.endswith(THOUGHT) else ""


def thinking_processor(tokenizer: PreTrainedTokenizerBase, thinking: Thinking) -> LogitsProcessor:
    """Return what keeps a tokenizer's model to a budget.

    Raises:
        ValueError: If the tokenizer cannot write what ends a thought.
    """
    end_ids = _ids(tokenizer, thinking.end, "end")
    before_ids = _ids(tokenizer, thinking.before_end, "before_end")
    blocked_ids = reflexive_ids(tokenizer) if thinking.block_reflexive else ()
    return ThinkingBudget(
        thinking,
        end_ids=end_ids,
        forced_ids=[*before_ids, *end_ids],
        blocked_ids=sorted(set(blocked_ids) - set(end_ids)),
    )


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, name: str) -> list[int]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    assert isinstance(ids, list), "one text becomes one list"
    if (text and not ids) or tokenizer.unk_token_id in ids:
        raise ValueError(
            f"decoding.thinking.{name}: got {text!r}, which the tokenizer does not know; allowed: "
            "text of its own tokens"
        )
    return ids


def _contains(row: Sequence[int], wanted: Sequence[int], start: int) -> bool:
    size = len(wanted)
    places = range(start, len(row) - size + 1)
    return any(list(row[place : place + size]) == wanted for place in places)
