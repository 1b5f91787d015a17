"""The decoding engine: many requests in, their generations out, in the same order."""

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from mmlite.batch import Batch
from mmlite.generation.batch_decoder import BatchDecoder, LogitsProcessor
from mmlite.generation.cache import lengths_alike_from
from mmlite.generation.prefixes import (
    Beginnings,
    Prompts,
    can_share,
    images_of,
    split_prompts,
)
from mmlite.generation.requests import Decoding, Generation, Request
from mmlite.generation.sampling import draw_uniform
from mmlite.generation.thinking import opens_thought, thinking_processor
from mmlite.images import image_key
from mmlite.models import VisionLanguageModel
from mmlite.models.positions import check_positions
from mmlite.processor import Encoded, Processor
from mmlite.records import content_key

MOST_READERS = 8
"""Threads that read a batch's images."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One distinct prompt, and which requests want it."""

    key: str
    encoded: Encoded
    places: list[int]

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return len(self.encoded.input_ids)


class Engine:
    """Let a model go on with many conversations at once.

    Requests are sorted by length, those about the same images (files or bytes) together, and
    decoded in left-padded batches under a token budget; rows that have ended are dropped; equal
    requests are decoded once. A batch encodes each image once, and reads what prompts about it
    begin with once where that saves a quarter or more (`mmlite.generation.prefixes`). What a
    request gets is what it would get alone, sampled or not (up to rounding, which depends on the
    shape of a batch); a model that reads a prompt otherwise beside longer ones (states of linear
    attention, positions that depend on a great length) gets batches of prompts of one length.

    Why not `generate` of transformers: it keeps finished rows in the batch, and draws the random
    numbers of all rows from one generator, so that a sample depends on its neighbours.

    Args:
        model: Decodes; it is in evaluation mode meanwhile, and as before afterwards.
        processor: Turns requests into tokens, and tokens into text.
        max_batch_tokens: Most tokens of a batch, padding and `max_new_tokens` of each row
            included; a single request may exceed it, and prompts that are read in two parts by a
            twentieth.
    """

    def __init__(
        self, model: VisionLanguageModel, processor: Processor, *, max_batch_tokens: int = 16384
    ) -> None:
        if max_batch_tokens < 1:
            raise ValueError(
                f"engine.max_batch_tokens: got {max_batch_tokens}, allowed: 1 or more; a few "
                "thousand suit a laptop"
            )
        self.model = model
        self.processor = processor
        self.max_batch_tokens = max_batch_tokens

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,
        *,
        processors: Sequence[LogitsProcessor] = (),
        progress: Callable[[int], None] | None = None,
        keep: Callable[[Mapping[int, Generation]], None] | None = None,
    ) -> list[Generation]:
        """Answer requests; equal requests are decoded once.

        Args:
            requests: What to go on with, in any order.
            decoding: How to choose tokens.
            processors: Change the logits before each token, one after the other.
            progress: Told how many distinct requests were answered by each batch.
            keep: Given each batch as soon as it is decoded: generations by the place of their
                request. What it has saved survives a kill during a later batch.

        Returns:
            One generation per request, in order.

        Raises:
            ValueError: If a text may reach beyond the model's table of positions.
        """
        if decoding.thinking is not None:
            budget = thinking_processor(self.processor.tokenizer, decoding.thinking)
            processors = [budget, *processors]
        made: dict[int, Generation] = {}
        jobs = self._jobs(requests)
        if jobs:
            longest = max(job.length for job in jobs)
            check_positions(
                f"max_new_tokens: got {decoding.max_new_tokens} after a prompt of {longest} tokens",
                longest + decoding.max_new_tokens - 1,  # the last one is not read again
                self.model.language.learnt_positions,
                "lower max_new_tokens or shorten what is asked",
            )
        for batch in self._batches(jobs, decoding):
            pairs = zip(batch, self._decode(batch, decoding, processors), strict=True)
            new = {place: generation for job, generation in pairs for place in job.places}
            made |= new
            if keep is not None:
                keep(new)
            if progress is not None:
                progress(len(batch))
        return [made[place] for place in range(len(requests))]

    def request_key(self, request: Request) -> str:
        """Hash all that decides what a model of given weights is shown: tokens and images."""
        return self._key(self.processor.encode(request.turns, request.images, answer=True))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what turns tokens into text: the vocabulary and the tokens that end a text."""
        return content_key(self.processor.tokenizer.get_vocab(), sorted(self.stop_ids))

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a text.

        The string after an assistant's turn may hold ordinary tokens too, such as a line end, which
        must not stop a text; so where it has special tokens, those count.
        """
        tokenizer = self.processor.tokenizer
        ends = {token for token in self.processor.end_ids if isinstance(token, int)}
        ends = ends.intersection(tokenizer.all_special_ids) or ends
        return frozenset({*ends, *_listed(tokenizer.eos_token_id), *self._published_ends()})

    def _published_ends(self) -> list[int]:
        """Return the tokens at which a published model stops by its generation configuration."""
        language = self.model.language
        config = language.model.generation_config if language.is_published else None
        return _listed(getattr(config, "eos_token_id", None))

    def _key(self, encoded: Encoded) -> str:
        images = [image_key(image, self.processor.image) for image in encoded.images]
        return content_key(encoded.input_ids, images)

    def _jobs(self, requests: Sequence[Request]) -> list[_Job]:
        jobs: dict[str, _Job] = {}
        for place, request in enumerate(requests):
            encoded = self.processor.encode(request.turns, request.images, answer=True)
            key = self._key(encoded)
            jobs.setdefault(key, _Job(key, encoded, [])).places.append(place)
        return list(jobs.values())

    def _batches(self, jobs: Sequence[_Job], decoding: Decoding) -> Iterator[list[_Job]]:
        """Cut jobs, the longest first, into batches; those about the same images stay together."""
        room = decoding.max_new_tokens
        limit = lengths_alike_from(self.model.language)
        alike = [job.length + room > limit for job in jobs]
        groups: list[Hashable] = [
            job.length if is_alike else images_of(job.encoded) or f"job {number}"
            for number, (job, is_alike) in enumerate(zip(jobs, alike, strict=True))
        ]
        longest: dict[Hashable, int] = {}
        for group, job in zip(groups, jobs, strict=True):
            longest[group] = max(longest.get(group, 0), job.length)
        place_of = {group: place for place, group in enumerate(longest)}
        # Longest first: if memory does not suffice, that shows at once.
        ordered = sorted(
            zip(groups, jobs, strict=True),
            key=lambda pair: (-longest[pair[0]], place_of[pair[0]], -pair[1].length),
        )
        batch: list[_Job] = []
        widest = 0
        for _, job in ordered:
            wider = max(widest, job.length + decoding.max_new_tokens)
            is_full = wider * (len(batch) + 1) > self.max_batch_tokens
            # Beside one from where on lengths must be alike there is no other length.
            is_other = bool(batch) and job.length != batch[0].length
            if batch and (is_full or (is_other and batch[0].length + room > limit)):
                yield batch
                batch, wider = [], job.length + decoding.max_new_tokens
            batch.append(job)
            widest = wider
        if batch:
            yield batch

    def _load(self, rows: Sequence[Encoded], device: torch.device) -> Prompts:
        """Load prompts; what those about the same images share is apart, to be read once."""
        # A GPU waits for the images; a model on the CPU has its threads itself.
        readers = min(MOST_READERS, _cores()) if device.type == "cuda" else 1

        def load(part: Sequence[Encoded]) -> Batch:
            batch = self.processor.collate(part, pad_left=True, readers=readers, is_shared=True)
            return batch.to(device)

        split = None
        if can_share(self.model.language):
            split = split_prompts(rows, self.model.image_token_id)
        if split is None:
            return Prompts(load(rows))
        of_prompt = torch.tensor(split.prefix_of, device=device)
        return Prompts(load(split.rests), Beginnings(load(split.prefixes), of_prompt))

    def _decode(
        self, jobs: Sequence[_Job], decoding: Decoding, processors: Sequence[LogitsProcessor]
    ) -> list[Generation]:
        device = next(self.model.parameters()).device
        uniform = None
        if not decoding.is_greedy:
            seeds = [int(content_key(decoding.seed, job.key)[:15], 16) for job in jobs]
            drawn = [draw_uniform(seed, decoding.max_new_tokens) for seed in seeds]
            uniform = torch.stack(drawn).to(device)
        prompts = self._load([job.encoded for job in jobs], device)
        with torch.inference_mode(), _evaluating(self.model):
            decoder = BatchDecoder(
                self.model,
                prompts,
                decoding=decoding,
                uniform=uniform,
                stop_ids=self.stop_ids,
                processors=processors,
            )
            decoder.run()
        opened = [opens_thought(self.processor.tokenizer, job.encoded.input_ids) for job in jobs]
        return [
            Generation(begun + self.processor.decode(token_ids), tuple(token_ids), finished)
            for begun, token_ids, finished in zip(
                opened, decoder.generated, decoder.finished, strict=True
            )
        ]


def _listed(token_ids: Any) -> list[int]:
    """Return the ids of one token, of several, or of none."""
    return [token_ids] if isinstance(token_ids, int) else list(token_ids or ())


def _cores() -> int:
    """Return how many cores this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; afterwards each module is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
