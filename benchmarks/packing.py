"""How full batches are: by arrival, by length, under a budget of tokens, and packed.

python -m benchmarks.packing
python -m benchmarks.packing --train [--threads 2] [--steps 8] [--tiny]

Lengths are drawn from a log-normal distribution around 300 tokens, cut at 2,048: short questions
and long conversations side by side, as in mixtures for instruction tuning. This is planning alone.
With `--train`, whole steps of mmlite over the rows and the model of
`benchmarks/train_vs_transformers.py`, in batches of 4,096 tokens with padding: by length, and
packed, where `sdpa` computes what it masks.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.training.arms import quiet
from benchmarks.training.isolated import run_apart
from benchmarks.training.measured import Measured, Setup
from benchmarks.training.mix import write_mix
from benchmarks.training.ours import Switches, train_mmlite
from benchmarks.training.parts import save_parts
from benchmarks.training.shapes import TINY, Shape
from data_modules.batching import BatchBudget, BatchPlan, Position
from mmlite.processor import Encoded

ROWS = 20_000
LONGEST = 2048

BUDGETS = {
    "16 by arrival": BatchBudget(16, window_batches=1),
    "16 by length": BatchBudget(16),
    "8192 tokens by length": BatchBudget(64, max_batch_tokens=8192, window_batches=4),
    "8 x 1024 packed": BatchBudget(8, pack_tokens=1024),
    "4 x 2048 packed": BatchBudget(4, pack_tokens=2048),
    "2 x 4096 packed": BatchBudget(2, pack_tokens=4096),
}


def drawn() -> list[Encoded]:
    """Return sequences of random lengths."""
    lengths = np.random.default_rng(0).lognormal(np.log(300), 0.7, ROWS)
    cut = np.clip(lengths, 20, LONGEST).astype(int).tolist()
    return [Encoded((0,) * length, (0,) * length, ()) for length in cut]


def places(rows: list[Encoded], budget: BatchBudget) -> tuple[int, int]:
    """Return the number of batches of an epoch, and of places in them, padding included."""
    plan = BatchPlan(
        lambda epoch: range(ROWS), rows.__getitem__, size=ROWS, budget=budget, shuffle_seed=0
    )
    batches = held = 0
    for planned in plan.planned(Position()):
        lengths = iter([len(row.input_ids) for row in planned.rows])
        sizes = planned.sizes or (1,) * len(planned.rows)
        filled = [sum(next(lengths) for _ in range(size)) for size in sizes]
        batches, held = batches + 1, held + len(filled) * max(filled)
    return batches, held


STEP_TOKENS = 4096
"""Of a batch, which is an optimizer step."""

WAYS = {"by length": None, "packed 1024": 1024, "packed 2048": 2048, "packed 4096": 4096}
"""Tokens of a packed row; None: one example a row."""


def train(setup: Setup, folder: Path, out: Path, threads: int, *, packed: bool) -> None:
    """Train and write what was measured; called in a process of its own."""
    quiet()
    torch.set_num_threads(threads)
    train_mmlite(folder, setup, out, Switches(chunked=True, packed=packed)).write(out)


def whole_steps(shape: Shape, steps: int, threads: int) -> str:
    """Train in each way and return a table."""
    share = 16 if shape == TINY else 1  # of tiny rows, tiny steps
    tokens = STEP_TOKENS // share
    lines = [
        "| batches | tokens/s | supervised tokens/s | padding | peak MB | speed | busy |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n"
    ]
    base: Measured | None = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Apart, as the ways are: a process that has computed on several threads cannot be forked.
        failure = run_apart(save_parts, folder, shape, folder=folder / "saved", seconds=600)
        if failure is not None:
            raise RuntimeError(f"weights: {failure}")
        write_mix(
            folder,
            rows=64 * steps,
            vocabulary=shape.vocabulary,
            max_text_tokens=shape.max_text_tokens,
        )
        for way, row in WAYS.items():
            setup = Setup(
                shape=shape,
                steps=steps,
                batch_size=8,
                accumulate=1,
                batch_tokens=tokens,
                pack_tokens=(row or STEP_TOKENS) // share,
            )
            out = folder / way
            given = (setup, folder, out, threads)
            way_to_train = partial(train, packed=row is not None)
            failure = run_apart(way_to_train, *given, folder=out, seconds=1800)
            if failure is not None:
                raise RuntimeError(f"{way}: {failure}")
            found = Measured.read(out)
            base = base or found
            speed = found.rate(found.tokens) / base.rate(base.tokens)
            busy = found.rate(found.tokens, seconds=found.busy_seconds)
            busy /= base.rate(base.tokens, seconds=base.busy_seconds)
            lines.append(
                f"| {way} | {found.rate(found.tokens):,.0f} | {found.rate(found.supervised):,.0f} "
                f"| {1 - sum(found.tokens) / sum(found.padded):.0%} | {found.peak_mb:,.0f} "
                f"| {speed:.2f} x | {busy:.2f} x |\n"
            )
    return "".join(lines)


def efficiency() -> str:
    """Plan an epoch under each budget and return a table."""
    rows = drawn()
    tokens = sum(len(row.input_ids) for row in rows)
    lines = [f"{'batches':24}{'number':>8}{'efficiency':>12}{'planned in s':>14}\n"]
    for name, budget in BUDGETS.items():
        start = time.process_time()
        batches, held = places(rows, budget)
        seconds = time.process_time() - start
        lines.append(f"{name:24}{batches:>8,}{tokens / held:>12.1%}{seconds:>14.2f}\n")
    return "".join(lines)


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="whole steps, not planning alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--tiny", action="store_true", help="a model of no size: does it run?")
    given = parser.parse_args()
    shape = TINY if given.tiny else Shape()
    table = whole_steps(shape, given.steps, given.threads) if given.train else efficiency()
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
