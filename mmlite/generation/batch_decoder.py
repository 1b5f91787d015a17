"""Decoding of one batch: prefill, then token by token, finished rows dropped."""

import logging
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mmlite.batch import Batch
from mmlite.generation import fixed
from mmlite.generation.cache import keeps_keys_alone, roomy_cache
from mmlite.generation.fixed import FixedSteps, can_fix
from mmlite.generation.head import Head
from mmlite.generation.prefixes import Prompts
from mmlite.generation.requests import Decoding
from mmlite.generation.sampling import choose_tokens
from mmlite.models import VisionLanguageModel

LogitsProcessor = Callable[
    [Sequence[Sequence[int]], Float[Tensor, "row vocabulary"]], Float[Tensor, "row vocabulary"]
]
"""Called before each token with what each row has written so far and the logits, both of which it
leaves as they are; returns the logits to choose from, where minus infinity blocks a token. Logits
are good until the next call: whoever keeps them has to copy them. The seam for thinking budgets and
blocked tokens. Rows come and go, so places mean nothing from one call to the next; what a row has
written is one list that grows."""

LIVE_FRACTION = 0.75
"""Finished rows are dropped once at most this share still writes: copying the cache costs too."""

FIXED_LIVE_FRACTION = 0.5
"""The same where steps are fixed, which then have to be fixed anew."""

STEPS_BEFORE = 4
"""Steps that are done before others are fixed: short texts end before."""

_log = logging.getLogger(__name__)


class BatchDecoder:
    """Writes on from a left-padded batch of prompts.

    Args:
        model: The model, in evaluation mode.
        prompts: On the model's device.
        decoding: How tokens are chosen.
        uniform: Numbers to sample with, or None when nothing is sampled.
        stop_ids: Tokens that end a row.
        processors: Change the logits, one after the other.
        is_fixed: Whether steps of one shape are fixed and, on a GPU, recorded
            (`mmlite.generation.fixed`), where the model's can be; None: on a GPU.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        prompts: Prompts,
        *,
        decoding: Decoding,
        uniform: Float[Tensor, "row step"] | None,
        stop_ids: frozenset[int],
        processors: Sequence[LogitsProcessor] = (),
        is_fixed: bool | None = None,
    ) -> None:
        self.model = model
        self.prompts = prompts
        self.decoding = decoding
        self.uniform = uniform
        self.stop_ids = stop_ids
        self.processors = processors
        seen = prompts.mask
        rows, self._prompt = seen.shape
        self.generated: list[list[int]] = [[] for _ in range(rows)]
        self.finished = [False] * rows
        self.rows = list(range(rows))
        """Rows that are in the cache; all per-row tensors below are of these rows."""
        self.mask = pad(seen, (0, decoding.max_new_tokens), value=True)
        self.lengths = seen.sum(dim=-1, keepdim=True)
        self.cache = roomy_cache(model.language.model.config)
        self._may_drop = keeps_keys_alone(self.cache)
        self._head = Head(model.language)
        self._is_gpu = seen.is_cuda
        self._may_fix = self._is_gpu if is_fixed is None else is_fixed
        self._may_fix = self._may_fix and can_fix(model)
        self._fixed: FixedSteps | None = None
        self._alike = 0

    def run(self) -> None:
        """Write until every row has ended or is cut; `generated` and `finished` hold the result."""
        logits = self._prefill()
        for step in range(self.decoding.max_new_tokens):
            tokens = self._choose(logits, step)
            for row, token in zip(self.rows, tokens.tolist(), strict=True):
                self._take(row, token)
            live = [place for place, row in enumerate(self.rows) if not self.finished[row]]
            if not live or step + 1 == self.decoding.max_new_tokens:
                return
            fewest = LIVE_FRACTION if self._fixed is None else FIXED_LIVE_FRACTION
            if self._may_drop and len(live) <= fewest * len(self.rows):
                kept = torch.tensor(live, device=tokens.device)
                self._drop(kept)
                tokens = tokens[kept]
            logits = self._advance(tokens, step)

    def _prefill(self) -> Float[Tensor, "row vocabulary"]:
        prompts, mask = self.prompts, self.mask[:, : self._prompt]
        if (begun := prompts.beginnings) is not None:
            seen = begun.batch.attention_mask
            self._read(begun.batch, seen, _positions(seen))
            self.cache.batch_select_indices(begun.of_prompt)  # to each prompt its own
        positions = _positions(mask)[:, -prompts.batch.input_ids.shape[1] :]
        return self._head(self._read(prompts.batch, mask, positions))

    def _read(
        self, batch: Batch, mask: Bool[Tensor, "row key"], positions: Int[Tensor, "row token"]
    ) -> Float[Tensor, "row text_dim"]:
        """Read tokens into the cache and return the last hidden states."""
        return self._hidden(self.model.embed(batch), mask, positions)

    def _advance(self, tokens: Int[Tensor, " row"], step: int) -> Float[Tensor, "row vocabulary"]:
        if self._fixed is not None and not self._fixed.left:
            self._release()
        steps = self.decoding.max_new_tokens - step - 1
        is_time = self._alike >= STEPS_BEFORE and steps >= fixed.LEAST_STEPS
        if self._may_fix and self._fixed is None and is_time:
            self._fix(step, steps)
        if self._fixed is not None:
            try:
                return self._fixed(tokens)
            except fixed.CannotFixError as error:  # the same step is done as ever
                _log.warning("Decoding goes on without a CUDA graph, more slowly (%s)", error)
                self._fixed = None
                self._may_fix = False
        self._alike += 1
        embeddings = self.model.language.embed(tokens.unsqueeze(-1))
        seen = self.mask[:, : self._prompt + step + 1]
        return self._head(self._hidden(embeddings, seen, self.lengths + step))

    def _hidden(
        self,
        embeddings: Float[Tensor, "row token text_dim"],
        mask: Bool[Tensor, "row key"],
        positions: Int[Tensor, "row token"],
    ) -> Float[Tensor, "row text_dim"]:
        """Return the last hidden states."""
        if not self._may_drop:  # prompts of one length have no padding; states know no mask
            return self.model.language(embeddings, None, None, self.cache)[:, -1]
        return self.model.language(embeddings, mask, positions, self.cache)[:, -1]

    def _fix(self, step: int, most_steps: int) -> None:
        self._fixed = FixedSteps(
            self.model,
            self.cache,
            mask=self.mask,
            positions=self.lengths + step,
            place=self._prompt + step,
            most_steps=most_steps,
            is_recorded=self._is_gpu,
        )

    def _release(self) -> None:
        if self._fixed is not None:
            self._fixed.release()
            self._fixed = None

    def _choose(self, logits: Float[Tensor, "row vocabulary"], step: int) -> Int[Tensor, " row"]:
        if self.processors:
            generated = [self.generated[row] for row in self.rows]
            for process in self.processors:
                logits = process(generated, logits)
        uniform = None if self.uniform is None else self.uniform[:, step]
        return choose_tokens(logits, self.decoding, uniform)

    def _take(self, row: int, token: int) -> None:
        if token in self.stop_ids:
            self.finished[row] = True
        elif not self.finished[row]:
            self.generated[row].append(token)

    def _drop(self, kept: Int[Tensor, " kept"]) -> None:
        """Keep only some of the rows in the cache; the others have ended."""
        self._release()
        self._alike = 0
        self.rows = [self.rows[place] for place in kept.tolist()]
        self.mask, self.lengths = self.mask[kept], self.lengths[kept]
        self.uniform = None if self.uniform is None else self.uniform[kept]
        # Contract: every layer of transformers' caches that keeps keys alone can select rows.
        self.cache.batch_select_indices(kept)


def _positions(mask: Bool[Tensor, "row token"]) -> Int[Tensor, "row token"]:
    """Return the place of each token among those of its row, padding left out."""
    return (mask.long().cumsum(dim=-1) - 1).clamp(min=0)
