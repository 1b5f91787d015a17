"""Whether a folder that was written computes what our model does: asked, not assumed."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from mmlite.generation import Decoding, Engine, Request
from mmlite.images import open_image
from mmlite.models import VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import IMAGE_PLACEHOLDER, ImageRef, Turn

LOGITS_TOLERANCE = 1e-4
"""Most that logits in float32 may differ by, as a share of the largest."""

PIXELS_TOLERANCE = 1e-4
"""Most that normalised pixels may differ by: the order in which floats are multiplied."""

QUESTIONS = ("what is in the image ?", "look , what is red and what is blue ?")


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Attributes:
        samples: Conversations that were compared.
        logits: Largest difference of logits, as a share of the largest logit.
        pixels: Largest difference of normalised pixels.
        answers: Greedy answers of our model; those of the folder are the same.
    """

    samples: int
    logits: float
    pixels: float
    answers: tuple[str, ...]


def sample_requests(processor: Processor) -> list[Request]:
    """Return conversations to compare with: one image of several shapes, none, and two.

    Args:
        processor: Ours; says how large a tile is.
    """
    side = processor.image.size_px
    shapes = [(side, side), (side // 2 + 1, side * 2 - 1), (side * 3 - 2, side + 3)]
    images = [picture(number, *shape) for number, shape in enumerate(shapes)]
    place = IMAGE_PLACEHOLDER
    requests = [
        Request((Turn("user", f"{place}{QUESTIONS[number % 2]}"),), (image,))
        for number, image in enumerate(images)
    ]
    requests.append(Request((Turn("user", QUESTIONS[0]),)))
    two = (Turn("user", f"{place}{place}{QUESTIONS[1]}"),)
    requests.append(Request(two, (images[0], images[2])))
    again = (
        Turn("user", f"{place}{QUESTIONS[0]}"),
        Turn("assistant", "red ."),
        Turn("user", QUESTIONS[1]),
    )
    requests.append(Request(again, (images[1],)))
    return requests


def picture(seed: int, height: int, width: int) -> ImageRef:
    """Return a picture of soft noise, PNG: something at every scale, the same every time."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 4), max(2, width // 4), 3), dtype=np.uint8)
    grown = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    grown.save(buffer, format="PNG")
    return ImageRef(data=buffer.getvalue())


def compare(
    folder: Path,
    model: VisionLanguageModel,
    processor: Processor,
    requests: Sequence[Request],
    *,
    max_new_tokens: int = 16,
) -> Compared:
    """Load a folder with plain transformers and compare it with our model.

    Both are asked the same with their own processors, in float32: token ids, pixels, logits of
    every token, and a greedy answer.

    Args:
        folder: What was exported.
        model: Ours, in float32.
        processor: Ours.
        requests: What to ask.
        max_new_tokens: Length of the greedy answers.

    Raises:
        ValueError: If anything differs by more than rounding, naming what, and by how much.
    """
    theirs: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    # Pillow resizes as ours does; torchvision, transformers' default, rounds otherwise.
    their_processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    their_processor.image_processor = AutoImageProcessor.from_pretrained(
        folder, backend="pil", local_files_only=True
    )
    engine = Engine(model, processor)
    decoding = Decoding(max_new_tokens=max_new_tokens)
    answers = [generation.token_ids for generation in engine.generate(requests, decoding)]
    problems: list[str] = []
    worst = {"logits": 0.0, "pixels": 0.0}
    for number, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        inputs = their_inputs(their_processor, request)
        encoded = processor.encode(request.turns, request.images, answer=True)
        batch = processor.collate([encoded])
        if inputs["input_ids"][0].tolist() != list(encoded.input_ids):
            problems.append(f"sample {number}: token ids differ{_where(inputs, encoded)}")
            continue
        if request.images:
            pixels = inputs["pixel_values"].reshape(-1, *batch.pixels.shape[1:])
            worst["pixels"] = max(worst["pixels"], _difference(pixels, batch.pixels))
        worst["logits"] = max(worst["logits"], _logits_difference(model, batch, theirs, inputs))
        with torch.inference_mode():
            output = theirs.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        said = output[0, inputs["input_ids"].shape[1] :].tolist()
        said = said[: next((i for i, t in enumerate(said) if t in engine.stop_ids), len(said))]
        if said != list(answer):
            ours = processor.decode(answer)
            problems.append(
                f"sample {number}: greedy answers differ ({ours!r}, {processor.decode(said)!r})"
            )
    limits = {"logits": LOGITS_TOLERANCE, "pixels": PIXELS_TOLERANCE}
    problems += [
        f"{name} differ by {worst[name]:.2e}, allowed: {limit:.0e}"
        for name, limit in limits.items()
        if not worst[name] <= limit
    ]
    if problems:
        raise ValueError(
            f"export: the model in {folder} does not do what the run's does: "
            f"{'; '.join(problems[:6])}; nothing was exported"
        )
    texts = tuple(processor.decode(answer) for answer in answers)
    return Compared(len(requests), worst["logits"], worst["pixels"], texts)


def their_inputs(processor: Any, request: Request) -> Any:
    """Return the inputs that a processor of transformers makes of a conversation."""
    messages = [{"role": t.role, "content": _content(t.text)} for t in request.turns]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    images = [Image.fromarray(open_image(ref)) for ref in request.images]
    return processor(
        text=[text],
        images=[images] if images else None,
        return_tensors="pt",
        add_special_tokens=False,
    )


def _content(text: str) -> list[dict[str, str]]:
    pieces = re.split(f"({re.escape(IMAGE_PLACEHOLDER)})", text)
    return [
        {"type": "image"} if piece == IMAGE_PLACEHOLDER else {"type": "text", "text": piece}
        for piece in pieces
        if piece
    ]


@torch.inference_mode()
def _logits_difference(model: VisionLanguageModel, batch: Any, theirs: Any, inputs: Any) -> float:
    hidden = model.language(model.embed(batch), batch.attention_mask)
    ours = model.language.logits(hidden[0])
    other = theirs(**inputs).logits[0, :, : ours.shape[-1]]
    return _difference(other, ours) / max(1.0, float(ours.abs().max()))


def _difference(first: Tensor, second: Tensor) -> float:
    if first.shape != second.shape:
        return float("inf")
    return float((first - second).abs().max())


def _where(inputs: Any, encoded: Any) -> str:
    theirs, ours = inputs["input_ids"][0].tolist(), list(encoded.input_ids)
    if len(theirs) != len(ours):
        return f" ({len(ours)} of ours, {len(theirs)} of theirs)"
    place = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return f" at place {place} ({ours[place]}, {theirs[place]})"
