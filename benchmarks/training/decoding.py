"""Decoding: extractions of images, by mmlite's engine and by transformers' `generate`.

Both write what the likeliest tokens say, in bfloat16 on a GPU, all questions in one left-padded
batch, and read the images within the time that counts. Texts end at random lengths, as real ones
do (`benchmarks/extract_think.py`). Supervised tokens are here those that are written.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from benchmarks.extract_think import PROMPTS, build_questions, random_ends
from benchmarks.flops import Work, decoding_flops, training_flops
from benchmarks.training.measured import Measured, Setup
from benchmarks.training.ours import Switches, build_stage
from benchmarks.training.parts import build_processor, load_llava
from benchmarks.training.recorder import peak_mb
from mmlite.generation import Decoding, Engine, Request
from mmlite.models import VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import IMAGE_PLACEHOLDER, Turn

WIDER = 10.0
"""How much the matrices of a fresh language model are spread, so that it writes texts instead of
its last token again and again: from 0.02 to 0.2 (`Shape.initializer_range`)."""

WARM_UP_TOKENS = 8


def decode_mmlite(folder: Path, setup: Setup, questions: int, new_tokens: int) -> Measured:
    """Decode with mmlite's engine."""
    device = setup.machine.device
    stage = build_stage(folder, setup, Switches(), _processor(setup))
    with torch.device(device):
        stage.configure_model()
    model = stage.built.to(device, _dtype(device))
    assert isinstance(model, VisionLanguageModel), "these stages train no other"
    widen(model.language)
    requests = build_requests(folder / setup.rows, setup, questions)
    longest = setup.shape.image_tokens + setup.shape.max_text_tokens + new_tokens
    engine = Engine(model, stage.processor, max_batch_tokens=questions * longest)

    def run(asked: Sequence[Request], limit: int) -> list[int]:
        made = engine.generate(asked, Decoding(max_new_tokens=limit))
        return [len(one.token_ids) + one.finished for one in made]

    return measure(run, requests, stage.processor, setup, new_tokens)


def decode_transformers(folder: Path, setup: Setup, questions: int, new_tokens: int) -> Measured:
    """Decode with transformers' LLaVA, all questions in a batch that keeps its finished rows."""
    device = setup.machine.device
    processor = _processor(setup)
    weights = folder / (setup.weights or "llava")
    model = load_llava(weights, dtype=_dtype(device)).to(device).eval()
    widen(model.model.language_model)
    ends = [*processor.end_ids, processor.tokenizer.eos_token_id]  # the engine's too
    stop_ids = [token for token in ends if isinstance(token, int)]

    def run(asked: Sequence[Request], limit: int) -> list[int]:
        rows = [processor.encode(one.turns, one.images, answer=True) for one in asked]
        batch = processor.collate(rows, pad_left=True).to(device)
        with torch.inference_mode():
            made = model.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask.long(),
                pixel_values=batch.pixels.to(model.dtype),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=stop_ids,
                pad_token_id=processor.pad_id,
            )
        written = made[:, batch.input_ids.shape[1] :]
        stops = torch.isin(written, torch.tensor(stop_ids, device=written.device))
        # Up to the first end, which counts too; a row that has none is as long as the batch.
        before = (stops.long().cumsum(1) == 0).sum(1)
        return (before + stops.any(1)).tolist()

    requests = build_requests(folder / setup.rows, setup, questions)
    return measure(run, requests, processor, setup, new_tokens)


def measure(
    run: Callable[[Sequence[Request], int], list[int]],
    requests: Sequence[Request],
    processor: Processor,
    setup: Setup,
    new_tokens: int,
) -> Measured:
    """Decode once after a warm-up.

    Args:
        run: Decodes requests up to so many tokens and returns how many each has written.
        requests: What to decode.
        processor: Tells the lengths of prompts.
        setup: Of the run.
        new_tokens: Longest text.
    """
    is_gpu = setup.machine.device == "cuda"
    run(requests, min(WARM_UP_TOKENS, new_tokens))
    if is_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = (time.perf_counter(), time.process_time())
    written = run(requests, new_tokens)
    ended = (time.perf_counter(), time.process_time())
    rows = [processor.encode(one.turns, one.images, answer=True) for one in requests]
    prompts = [len(row.input_ids) for row in rows]
    shape = setup.shape
    images = {image.path for request in requests for image in request.images}
    seen = Work(tiles=len(images), lengths=(), head_rows=0)  # several questions ask about each
    flops = training_flops(seen, shape.vision, shape.language, learns=())
    pairs = zip(prompts, written, strict=True)
    flops += sum(decoding_flops(prompt, new, shape.language) for prompt, new in pairs)
    tokens = sum(prompts) + sum(written)
    return Measured(
        losses=[],
        ends=[started[0], ended[0]],
        busy=[started[1], ended[1]],
        supervised=[0, sum(written)],
        tokens=[0, tokens],
        padded=[0, len(rows) * max(prompts) + sum(written)],
        flops=[0.0, flops],
        peak_mb=peak_mb(setup.machine.device),
    )


def build_requests(folder: Path, setup: Setup, questions: int) -> list[Request]:
    """Return questions about images, as a perceiver is asked them."""
    examples = build_questions(folder, setup.shape, questions)
    requests = []
    for example in examples:
        asked = PROMPTS.render("extraction", question=example.question)
        requests.append(Request((Turn("user", IMAGE_PLACEHOLDER + asked),), example.images))
    return requests


def widen(language: nn.Module) -> None:
    """Spread the matrices of a fresh language model, tied ones once."""
    with torch.no_grad():
        for parameter in language.parameters():
            if parameter.ndim == 2:
                parameter.mul_(WIDER)


def _processor(setup: Setup) -> Processor:
    return random_ends(build_processor(setup.shape), setup.shape)


def _dtype(device: str) -> torch.dtype:
    return torch.float32 if device == "cpu" else torch.bfloat16
