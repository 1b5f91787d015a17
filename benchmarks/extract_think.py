"""Measure Extract+Think: questions per second of the engine, against one `generate` at a time.

A vision-language model writes an extraction of an image, a language model thinks about it within a
budget and answers. Here as `TwoStage` does it: all extractions in batches, then all thoughts, each
row with its own end and budget. There as users of transformers do it: one question after the other.
Random weights, whose texts end at random lengths, as real ones do: of the micro-world's order of
size, or small ones with the vocabulary and the images of the paper's order, whose time on a CPU is
that of the head's multiplications and of reading images, which batches make little shorter but
where several questions ask about an image (four do, or --images of them share the questions).
"busy" counts processor time instead of the clock's, which other programs disturb less when there is
one thread. The program stops with an error if answers differ.

Run: python -m benchmarks.extract_think [--size micro|small] [--questions 64] [--images 16]
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, Qwen3ForCausalLM

from benchmarks.training.mix import NUM_IMAGES, SPECIAL, write_mix
from benchmarks.training.parts import (
    SavedSiglip,
    build_processor,
    load_llava,
    save_parts,
    saved_projector,
)
from benchmarks.training.shapes import TINY, Shape, text_config
from mmlite.chat import ChatTemplate
from mmlite.generation import Decoding, Engine, Thinking
from mmlite.generation.thinking import thinking_processor
from mmlite.models import PretrainedLanguageModel, VisionLanguageModel
from mmlite.processor import Processor
from mmlite.prompts import PromptSet
from mmlite.records import IMAGE_PLACEHOLDER, Example, ImageRef, Turn
from mmlite.systems import ModelPerceiver, ModelReasoner, TwoStage
from mmlite.systems.store import StoredEngine

MICRO = Shape(
    vocabulary=2000,
    hidden=128,
    layers=4,
    vision_hidden=64,
    vision_layers=3,
    image_px=84,
    max_text_tokens=64,
)

SIZES = {"tiny": TINY, "micro": MICRO, "small": Shape()}
"""Shapes by the name given on the command line; `tiny` only shows that the program runs."""

ONE_IN = 80
"""One word in so many ends a text, so that random texts have this length on average."""

LEAST_EQUAL = 0.95
"""Share of answers that must be equal: rounding, which depends on a batch's shape, may swap two
tokens that are equally likely but for the last bits."""

PROMPTS = PromptSet(
    name="benchmark",
    source="words of a tokenizer without meaning",
    templates={"extraction": "w1 {question}", "reason_think": "w2 {description} w3 {question} w4"},
)


@dataclass(frozen=True)
class Lengths:
    """Limits of texts in tokens.

    Attributes:
        extraction: Longest extraction.
        thought: Budget of thoughts.
        total: Longest thought and answer together.
    """

    extraction: int = 96
    thought: int = 128
    total: int = 192

    @property
    def perceive(self) -> Decoding:
        """How the perceiver writes."""
        return Decoding(max_new_tokens=self.extraction)

    @property
    def reason(self) -> Decoding:
        """How the reasoner writes."""
        thinking = Thinking(max_tokens=self.thought, end="w5", before_end="w6")
        return Decoding(max_new_tokens=self.total, thinking=thinking)


def random_ends(processor: Processor, shape: Shape) -> Processor:
    """Return the processor with many words that end a text."""
    words = shape.vocabulary - len(SPECIAL) - 2
    ends = " ".join(f"w{number}" for number in range(7, words, ONE_IN))
    chat = processor.chat
    assert isinstance(chat, ChatTemplate), "the benchmark's processor has strings around turns"
    return Processor(
        processor.tokenizer,
        chat=replace(chat, assistant_end=ends),
        image=processor.image,
        tokens_per_tile=shape.image_tokens,
        max_tokens=4096,
    )


def save_models(folder: Path, shape: Shape, images: int) -> None:
    """Save a perceiver, a reasoner and images."""
    save_parts(folder, shape)
    torch.manual_seed(1)
    Qwen3ForCausalLM(text_config(shape)).save_pretrained(folder / "reasoner")
    write_mix(folder, rows=1, vocabulary=shape.vocabulary, max_text_tokens=8, images=images)


def build_questions(
    folder: Path, shape: Shape, number: int, images: int = NUM_IMAGES
) -> list[Example]:
    """Return questions of 6 to 30 words, each about one of a few images."""
    rng = random.Random(0)
    examples = []
    for row in range(number):
        words = [f"w{rng.randint(7, shape.vocabulary - 20)}" for _ in range(rng.randint(6, 30))]
        image = ImageRef(path=str(folder / "images" / f"{row % images}.jpg"))
        question = " ".join(words)
        examples.append(
            Example(
                f"q{row}", (), (image,), task="short_answer", question=question, answers=("w7",)
            )
        )
    return examples


def build_system(folder: Path, shape: Shape, lengths: Lengths, batch_tokens: int) -> TwoStage:
    """Return mmlite's system."""
    processor = random_ends(build_processor(shape), shape)
    vision = SavedSiglip(folder, shape)
    language = partial(PretrainedLanguageModel, shape.vocabulary)
    perceiving = language(str(folder / "language"))
    projector = saved_projector(folder, vision.dim, perceiving.dim)
    image_id = processor.image_token_id
    sees = VisionLanguageModel(perceiving, vision, projector, image_token_id=image_id)
    thinks = VisionLanguageModel(language(str(folder / "reasoner")), image_token_id=image_id)
    engines = [
        StoredEngine(
            Engine(model.eval(), processor, max_batch_tokens=batch_tokens), fingerprint=name
        )
        for model, name in ((sees, "perceiver"), (thinks, "reasoner"))
    ]
    return TwoStage(
        ModelPerceiver(engines[0], PROMPTS, name="extract", size="", decoding=lengths.perceive),
        ModelReasoner(engines[1], PROMPTS, name="think", size="", decoding=lengths.reason),
    )


class OneAtATime:
    """The same with `generate` of transformers, one question after the other."""

    def __init__(self, folder: Path, shape: Shape, lengths: Lengths) -> None:
        self.processor = random_ends(build_processor(shape), shape)
        self.lengths = lengths
        self.sees = load_llava(folder / "llava").eval()
        self.thinks = Qwen3ForCausalLM.from_pretrained(folder / "reasoner", dtype=torch.float32)
        self.thinks.eval()
        self.stop_ids = [token for token in self.processor.end_ids if isinstance(token, int)]
        end: Any = self.processor.tokenizer.eos_token_id
        self.stop_ids.append(end)

    def answer(self, example: Example) -> str:
        """Extract, think and answer."""
        asked = PROMPTS.render("extraction", question=example.question)
        seen = self._write(
            self.sees, IMAGE_PLACEHOLDER + asked, self.lengths.perceive, example.images
        )
        asked = PROMPTS.render("reason_think", description=seen, question=example.question)
        return self._write(self.thinks, asked, self.lengths.reason)

    def _write(
        self, model: Any, text: str, decoding: Decoding, images: Sequence[ImageRef] = ()
    ) -> str:
        row = self.processor.encode((Turn("user", text),), images, answer=True)
        batch = self.processor.collate([row])
        ids = batch.input_ids
        pixels = {"pixel_values": batch.pixels} if len(batch.pixels) else {}
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=self.stop_ids,
            pad_token_id=self.processor.pad_id,
            logits_processor=self._budget(decoding, ids.shape[1]),
            **pixels,
        )
        written = made[0, ids.shape[1] :].tolist()
        if written and written[-1] in self.stop_ids:
            written.pop()
        return self.processor.decode(written)

    def _budget(self, decoding: Decoding, prompt: int) -> LogitsProcessorList:
        if decoding.thinking is None:
            return LogitsProcessorList()
        keep = thinking_processor(self.processor.tokenizer, decoding.thinking)

        def bounded(input_ids: Tensor, scores: Tensor) -> Tensor:
            return keep([input_ids[0, prompt:].tolist()], scores)

        return LogitsProcessorList([bounded])  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Compared:
    """What came out.

    Attributes:
        batched: Questions per second of the engine.
        alone: Questions per second one at a time.
        busy: How many times as many questions per second of processor time.
        equal: Share of equal answers.
        tokens: Tokens of a question's texts, on average.
    """

    batched: float
    alone: float
    busy: float
    equal: float
    tokens: float


def compare(
    shape: Shape, lengths: Lengths, *, questions: int, alone: int, images: int = NUM_IMAGES
) -> Compared:
    """Answer all questions in batches, and some of them one at a time.

    Raises:
        RuntimeError: If answers differ.
    """
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        save_models(folder, shape, images)
        examples = build_questions(folder, shape, questions, images)
        longest = shape.image_tokens + 64 + lengths.extraction + lengths.total
        system = build_system(folder, shape, lengths, batch_tokens=questions * longest)
        system.answer(examples[:2])  # warm up
        started = _now()
        predictions = system.answer(examples)
        batched = [questions / (end - start) for start, end in zip(started, _now(), strict=True)]
        theirs = OneAtATime(folder, shape, lengths)
        theirs.answer(examples[0])  # warm up
        started = _now()
        answers = [theirs.answer(example) for example in examples[:alone]]
        one = [alone / (end - start) for start, end in zip(started, _now(), strict=True)]
    pairs = list(zip(answers, predictions, strict=False))
    equal = sum(answer == prediction.output for answer, prediction in pairs) / len(pairs)
    if equal < LEAST_EQUAL:
        raise RuntimeError(
            f"the engine and transformers agree on {equal:.0%} of {alone} answers, allowed: at "
            f"least {LEAST_EQUAL:.0%}"
        )
    texts = [f"{p.extraction} {p.output}" for p in predictions]
    return Compared(
        batched=batched[0],
        alone=one[0],
        busy=batched[1] / one[1],
        equal=equal,
        tokens=sum(len(text.split()) for text in texts) / len(texts),
    )


def _now() -> tuple[float, float]:
    """Return the clock's time and the processor's."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=64, help="all in one batch")
    parser.add_argument("--alone", type=int, default=8, help="how many of them one at a time")
    parser.add_argument("--images", type=int, default=NUM_IMAGES, help="that they are about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", choices=list(SIZES), default="micro")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shape = replace(SIZES[given.size], initializer_range=0.2)
    lengths = Lengths(12, 16, 24) if given.size == "tiny" else Lengths()
    found = compare(
        shape, lengths, questions=given.questions, alone=given.alone, images=given.images
    )
    sys.stdout.write(
        "| way | questions/s | speed | busy | equal answers | tokens a question |\n"
        "|---|--:|--:|--:|--:|--:|\n"
        f"| one generate at a time, {given.alone} of them | {found.alone:.3f} "
        "| 1.00 x | 1.00 x | | |\n"
        f"| engine, batch of {given.questions} | {found.batched:.3f} "
        f"| {found.batched / found.alone:.2f} x | {found.busy:.2f} x "
        f"| {found.equal:.0%} | {found.tokens:.0f} |\n"
    )


if __name__ == "__main__":
    main()
