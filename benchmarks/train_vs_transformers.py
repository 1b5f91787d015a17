"""Measure training against what a user has today: transformers' LLaVA and its Trainer.

The same weights, rows and optimizer steps, on the CPU, with the 151,936 tokens of Qwen3: padded
batches and logits of every token there; batches by length and logits of supervised tokens here.
Each way runs in a process of its own, for its memory. Rates leave out the first step; "busy" counts
processor time instead of the clock's, which other programs disturb less when there is one thread.
The program stops with an error if the losses of any two ways differ in any step.

Run: python -m benchmarks.train_vs_transformers [--threads 2] [--steps 6] [--tiny]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.training.arms import TRANSFORMERS
from benchmarks.training.measured import Measured, Setup
from benchmarks.training.mix import write_mix
from benchmarks.training.ours import OURS
from benchmarks.training.parts import save_parts
from benchmarks.training.shapes import TINY, Shape

LOSS_TOLERANCE = 2e-3
"""Largest difference of a step's mean loss; float32 sums in another order differ, and grow."""


@dataclass(frozen=True)
class Line:
    """One line of the table, ratios to the first way.

    Attributes:
        arm: The way.
        supervised_per_second: Supervised tokens.
        tokens_per_second: Tokens, padding left out.
        padding: Share of padding.
        peak_mb: Most memory.
        faster: How many times as many supervised tokens per second.
        busy_faster: The same per second of processor time.
        memory: Share of the memory.
        loss_difference: Largest difference of a step's loss.
    """

    arm: str
    supervised_per_second: float
    tokens_per_second: float
    padding: float
    peak_mb: float
    faster: float
    busy_faster: float
    memory: float
    loss_difference: float


def measure(arm: str, folder: Path, threads: int) -> Measured:
    """Run one way in a process of its own."""
    out = folder / arm.replace(" ", "_")
    out.mkdir()
    command = [sys.executable, "-m", "benchmarks.training.arms", arm, str(folder), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arm} failed:\n{done.stderr[-4000:]}")
    return Measured.read(out)


def line(arm: str, measured: Measured, base: Measured) -> Line:
    """Compare a way with the first one.

    Raises:
        RuntimeError: If their losses differ.
    """
    rate, base_rate = measured.rate(measured.supervised), base.rate(base.supervised)
    pairs = zip(measured.losses, base.losses, strict=True)
    difference = max(abs(one - other) for one, other in pairs)
    if difference > LOSS_TOLERANCE or measured.supervised != base.supervised:
        raise RuntimeError(
            f"{arm}: got losses {measured.losses} over {measured.supervised} tokens, allowed: "
            f"those of the first way within {LOSS_TOLERANCE}: {base.losses} over {base.supervised}"
        )
    return Line(
        arm=arm,
        supervised_per_second=rate,
        tokens_per_second=measured.rate(measured.tokens),
        padding=1 - sum(measured.tokens) / sum(measured.padded),
        peak_mb=measured.peak_mb,
        faster=rate / base_rate,
        busy_faster=measured.rate(measured.supervised, seconds=measured.busy_seconds)
        / base.rate(base.supervised, seconds=base.busy_seconds),
        memory=measured.peak_mb / base.peak_mb,
        loss_difference=difference,
    )


def compare(setup: Setup, arms: tuple[str, ...], threads: int) -> list[Line]:
    """Run every way and compare each with the first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setup.write(folder)
        save_parts(folder, setup.shape)
        rows = setup.steps * setup.batch_size * setup.accumulate
        shape = setup.shape
        write_mix(
            folder, rows=rows, vocabulary=shape.vocabulary, max_text_tokens=shape.max_text_tokens
        )
        measured = {arm: measure(arm, folder, threads) for arm in arms}
    return [line(arm, found, measured[arms[0]]) for arm, found in measured.items()]


def table(lines: list[Line]) -> str:
    """Return the comparison as a Markdown table."""
    rows = [
        "| way | supervised tokens/s | tokens/s | padding | peak MB | speed | busy | memory "
        "| loss differs by |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {one.arm} | {one.supervised_per_second:,.0f} | {one.tokens_per_second:,.0f} "
        f"| {one.padding:.0%} | {one.peak_mb:,.0f} | {one.faster:.2f} x "
        f"| {one.busy_faster:.2f} x | {one.memory:.2f} x "
        f"| {one.loss_difference:.1e} |"
        for one in lines
    ]
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="a model of no size: does it run?")
    parser.add_argument("--ways", nargs="+", choices=list(OURS), default=list(OURS)[:2])
    given = parser.parse_args()
    setup = Setup(
        shape=TINY if given.tiny else Shape(), steps=given.steps, batch_size=given.batch_size
    )
    sys.stdout.write(table(compare(setup, (TRANSFORMERS, *given.ways), given.threads)))


if __name__ == "__main__":
    main()
