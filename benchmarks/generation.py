"""Measure the decoding engine: generated tokens per second, against two other ways.

The ways: the engine, the engine one request at a time, and transformers' `generate` on the same
left-padded batches. All on one thread, on a random micro language model, whose answers end at
random lengths, as real ones do.

Run: python -m benchmarks.generation [--size a|b|c|d] [--requests N]
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import torch
import yaml
from transformers import PreTrainedTokenizerBase

from mmlite.chat import ChatTemplate
from mmlite.generation import Decoding, Engine, Generation, Request
from mmlite.models import NewLanguageModel, VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import Turn
from mmlite.tokenizers import micro_tokenizer

SIZES = Path(__file__).parents[1] / "experiments" / "micro" / "sizes"


def build_engine(size: str) -> Engine:
    """Build an engine on a random micro language model."""
    torch.manual_seed(0)
    tokenizer = micro_tokenizer()
    # One word in thirty ends a text, so that texts of a random model end at various lengths.
    ends = " ".join(ordinary_words(tokenizer)[::30])
    processor = Processor(tokenizer, chat=ChatTemplate(assistant_end=ends))
    config = yaml.safe_load((SIZES / f"{size}.yaml").read_text())
    arguments = config["model"]["init_args"]["language"]["init_args"]
    language = NewLanguageModel(processor.vocabulary_size, **arguments)
    model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
    return Engine(model.eval(), processor)


def ordinary_words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the words of a tokenizer, without special tokens."""
    return sorted(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens))


def build_requests(engine: Engine, number: int) -> list[Request]:
    """Return distinct prompts of 10 to 60 words."""
    rng = random.Random(0)
    words = ordinary_words(engine.processor.tokenizer)
    return [
        Request((Turn("user", " ".join(rng.choices(words, k=rng.randint(10, 60)))),))
        for _ in range(number)
    ]


def one_by_one(engine: Engine, requests: Sequence[Request], decoding: Decoding) -> list[Generation]:
    """Decode each request alone."""
    return [engine.generate([request], decoding)[0] for request in requests]


def with_transformers(
    engine: Engine, requests: Sequence[Request], decoding: Decoding
) -> list[Generation]:
    """Decode with transformers' `generate`, sorted into the engine's batches."""
    processor, model = engine.processor, engine.model.language.model
    encoded = [processor.encode(request.turns, answer=True) for request in requests]
    order = sorted(range(len(encoded)), key=lambda place: -len(encoded[place].input_ids))
    made: dict[int, Generation] = {}
    while order:
        longest = len(encoded[order[0]].input_ids) + decoding.max_new_tokens
        rows = max(1, engine.max_batch_tokens // longest)
        chosen, order = order[:rows], order[rows:]
        batch = processor.collate([encoded[place] for place in chosen], pad_left=True)
        outputs = model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask.long(),
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(engine.stop_ids),
            pad_token_id=processor.pad_id,
        )
        for place, row in zip(chosen, outputs[:, batch.input_ids.shape[1] :].tolist(), strict=True):
            ends = [n for n, token in enumerate(row) if token in engine.stop_ids]
            kept = row[: ends[0]] if ends else row
            made[place] = Generation(processor.decode(kept), tuple(kept), bool(ends))
    return [made[place] for place in range(len(requests))]


def measure(name: str, run: Callable[[], list[Generation]], out: TextIO) -> list[Generation]:
    """Run three times, and write how many tokens a second the fastest one generated.

    Processor time of this one thread counts: other programs disturb it less than the clock.
    """
    seconds, made = float("inf"), []
    for _ in range(3):
        started = time.process_time()
        made = run()
        seconds = min(seconds, time.process_time() - started)
    tokens = sum(len(generation.token_ids) for generation in made)
    finished = sum(generation.finished for generation in made) / len(made)
    out.write(
        f"{name:34} {tokens / seconds:10,.0f} tokens/s {seconds:8.2f} s "
        f"{tokens:8} tokens, {finished:.0%} ended\n"
    )
    out.flush()
    return made


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="d", choices=("a", "b", "c", "d"))
    parser.add_argument("--requests", type=int, default=600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = build_engine(arguments.size)
    requests = build_requests(engine, arguments.requests)
    greedy, out = Decoding(max_new_tokens=64), sys.stdout
    few = requests[: max(1, len(requests) // 10)]
    engine.generate(few, greedy)  # warm up
    ours = measure("engine, greedy", lambda: engine.generate(requests, greedy), out)
    sampled = Decoding(max_new_tokens=64, temperature=1.0)
    measure("engine, sampled", lambda: engine.generate(requests, sampled), out)
    nucleus = Decoding(max_new_tokens=64, temperature=1.0, top_p=0.9)
    measure("engine, sampled, top_p 0.9", lambda: engine.generate(requests, nucleus), out)
    measure(f"one at a time, {len(few)} of them", lambda: one_by_one(engine, few, greedy), out)
    with torch.inference_mode():
        theirs = measure(
            "transformers' generate", lambda: with_transformers(engine, requests, greedy), out
        )
    same = sum(one == other for one, other in zip(ours, theirs, strict=True)) / len(ours)
    out.write(f"the engine and transformers agree on {same:.1%} of the texts\n")


if __name__ == "__main__":
    main()
