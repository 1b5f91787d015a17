"""Any image-text model of transformers, asked in batches: it writes what our engine would write."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from mmlite.generation import Decoding, Generation, Request
from mmlite.generation.sampling import choose_tokens, draw_uniform
from mmlite.generation.thinking import THOUGHT
from mmlite.images import open_image
from mmlite.records import IMAGE_PLACEHOLDER, content_key


class ImageTextEngine:
    """Let an image-text model of transformers go on with many conversations.

    Requests with as many images each are sorted by length, padded on the left by the model's own
    processor and decoded by its own `generate`. Equal requests are decoded once.

    Args:
        model: With a `generate` of transformers.
        processor: The model's `AutoProcessor`.
        batch_size: Most conversations at once.
        system: A system turn before each conversation; empty for none.
        template: More variables for the chat template, such as `enable_thinking`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        *,
        batch_size: int = 8,
        system: str = "",
        template: Mapping[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, allowed: 1 or more")
        if getattr(processor, "chat_template", None) is None:
            raise ValueError(
                f"model: got {model.config.name_or_path!r}, whose processor has no chat template; "
                "allowed: a model that was trained to answer; take its instruct or chat version"
            )
        self.model: Any = model.eval()
        self.processor = processor
        self.batch_size = batch_size
        self.system = system
        self.template = dict(template or {})
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token_id is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,
        *,
        keep: Callable[[Mapping[int, Generation]], None] | None = None,
    ) -> list[Generation]:
        """Answer requests; equal requests are decoded once.

        Args:
            requests: What to go on with, in any order.
            decoding: How to choose tokens.
            keep: Given each batch as soon as it is decoded: generations by the place of their
                request.

        Returns:
            One generation per request, in order.
        """
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(self.request_key(request), []).append(place)
        made: dict[int, Generation] = {}
        distinct = [(key, requests[where[0]]) for key, where in places.items()]
        for batch in self._batches(distinct):
            written = self._decode(batch, decoding)
            pairs = zip(batch, written, strict=True)
            new = {place: text for (key, _), text in pairs for place in places[key]}
            made |= new
            if keep is not None:
                keep(new)
        return [made[place] for place in range(len(requests))]

    def request_key(self, request: Request) -> str:
        """Hash all that decides what a model of given weights is shown: words and pixels."""
        images = []
        for ref in request.images:
            pixels = open_image(ref)
            digest = hashlib.blake2b(pixels.tobytes(), digest_size=16)
            images.append([list(pixels.shape), digest.hexdigest()])
        return content_key([[turn.role, turn.text] for turn in request.turns], images)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what turns words and pixels into inputs, and tokens into text."""
        processor = self.processor
        return content_key(
            processor.tokenizer.get_vocab(),
            str(processor.chat_template),
            processor.image_processor.to_json_string(),
            [self.system, self.template],
            self.model.generation_config.to_json_string(),
        )

    def _batches(self, jobs: Sequence[tuple[str, Request]]) -> Iterator[list[tuple[str, Request]]]:
        """Cut jobs into batches; all rows of one have as many images, for processors nest them."""
        by_images: dict[int, list[tuple[str, Request]]] = {}
        for job in jobs:
            by_images.setdefault(len(job[1].images), []).append(job)
        for _, group in sorted(by_images.items(), reverse=True):
            group.sort(key=lambda job: -sum(len(turn.text) for turn in job[1].turns))
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _decode(self, jobs: Sequence[tuple[str, Request]], decoding: Decoding) -> list[Generation]:
        texts = [
            self.processor.apply_chat_template(
                self._conversation(request),
                add_generation_prompt=True,
                tokenize=False,
                **self.template,
            )
            for _, request in jobs
        ]
        images = [
            [Image.fromarray(open_image(ref)) for ref in request.images] for _, request in jobs
        ]
        inputs = self.processor(
            text=texts,
            images=images if images[0] else None,
            padding=True,
            return_tensors="pt",
            # The template has already written what stands at the start of a text.
            add_special_tokens=False,
        )
        inputs = inputs.to(self.model.device, dtype=self.model.dtype)
        prompt = inputs["input_ids"].shape[1]
        sampler = LogitsProcessorList()
        if not decoding.is_greedy:
            sampler.append(_Sampler([key for key, _ in jobs], decoding, prompt))
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                generation_config=self._settings(decoding),
                logits_processor=sampler,
            )
        begun = [f"{THOUGHT}\n" if text.rstrip().endswith(THOUGHT) else "" for text in texts]
        written = [self._read(row) for row in output[:, prompt:].tolist()]
        return [replace(w, text=b + w.text) for b, w in zip(begun, written, strict=True)]

    def _conversation(self, request: Request) -> list[dict[str, Any]]:
        turns = [(turn.role, turn.text) for turn in request.turns]
        if self.system:
            turns.insert(0, ("system", self.system))
        return [{"role": role, "content": _content(text)} for role, text in turns]

    def _settings(self, decoding: Decoding) -> GenerationConfig:
        """Return the model's own settings, with sampling left to us."""
        settings = GenerationConfig.from_dict(self.model.generation_config.to_dict())
        settings.do_sample = False
        settings.temperature = settings.top_p = settings.top_k = None
        settings.max_length = None
        settings.max_new_tokens = decoding.max_new_tokens
        settings.pad_token_id = self.processor.tokenizer.pad_token_id
        return settings

    @cached_property
    def _stop_ids(self) -> set[int]:
        named = self.model.generation_config.eos_token_id
        ends = named if isinstance(named, list) else [named, self.processor.tokenizer.eos_token_id]
        return {end for end in ends if isinstance(end, int)}

    def _read(self, row: Sequence[int]) -> Generation:
        ends = [place for place, token in enumerate(row) if token in self._stop_ids]
        tokens = row[: ends[0]] if ends else row
        text = self.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return Generation(text.strip(), tuple(tokens), bool(ends))


class _Sampler(LogitsProcessor):
    """Leaves one token per row: the one our own engine would sample for this request."""

    def __init__(self, keys: Sequence[str], decoding: Decoding, prompt: int) -> None:
        seeds = [int(content_key(decoding.seed, key)[:15], 16) for key in keys]
        self.uniform = torch.stack([draw_uniform(s, decoding.max_new_tokens) for s in seeds])
        self.decoding = decoding
        self.prompt = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        uniform = self.uniform[:, input_ids.shape[1] - self.prompt].to(scores.device)
        chosen = choose_tokens(scores, self.decoding, uniform).unsqueeze(-1)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


def _content(text: str) -> list[dict[str, str]]:
    """Split a turn into texts and images, as chat templates of image-text models want it."""
    pieces = re.split(f"({re.escape(IMAGE_PLACEHOLDER)})\n?", text)
    return [
        {"type": "image"} if piece == IMAGE_PLACEHOLDER else {"type": "text", "text": piece}
        for piece in pieces
        if piece
    ]
