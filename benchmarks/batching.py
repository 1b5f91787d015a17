"""Measure batches formed by length against batches in the order of arrival.

The same rows of extraction tuning with text among them. By arrival: every batch is the next rows.
By length: rows of 16 batches are sorted by length first. By tokens: the same under a budget of
tokens instead of a number of rows. Padding is what the model computes for nothing. One thread.

Run: python -m benchmarks.batching [--size a|b|c|d] [--rows N]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.runs import build, fastest, train_once
from data_modules.batching import BatchBudget
from mmlite.processor import Encoded
from mmlite.stages import Stage

BATCH_SIZE = 32
WINDOW = 16


def train(stage: Stage, batches: Sequence[Sequence[Encoded]]) -> None:
    """Compute the gradients of every batch."""
    for rows in batches:
        train_once(stage, rows)


def windows(rows: Sequence[Encoded], budget: BatchBudget) -> list[list[Encoded]]:
    """Cut rows into batches, sorted by length within windows, as a plan does."""
    step = budget.batch_size * budget.window_batches
    cut = []
    for start in range(0, len(rows), step):
        cut += budget.cut(sorted(rows[start : start + step], key=lambda r: len(r.input_ids)), 1)
    return cut


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="d", choices=("a", "b", "c", "d"))
    parser.add_argument("--rows", type=int, default=1024)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage, data = build("extraction", arguments.size, folder)
    plan = data.train_dataloader().plan
    places = plan.places(0)
    found = (plan.encode(places[n]) for n in range(min(arguments.rows, len(places))))
    rows = [row for row in found if row is not None]
    longest = max(len(row.input_ids) for row in rows)
    ways = {
        "by arrival": BatchBudget(BATCH_SIZE, window_batches=1),
        "by length": BatchBudget(BATCH_SIZE, window_batches=WINDOW),
        "by length, by tokens": BatchBudget(
            4 * BATCH_SIZE, max_batch_tokens=BATCH_SIZE * longest // 2, window_batches=WINDOW // 4
        ),
    }
    tokens = sum(len(row.input_ids) for row in rows)
    out, first = sys.stdout, 0.0
    out.write(f"size {arguments.size}, {len(rows)} rows of {tokens / len(rows):.0f} tokens\n")
    out.write(f"{'batches':22}{'number':>8}{'padding':>9}{'tokens/s':>10}{'ratio':>7}\n")
    for name, budget in ways.items():
        batches = windows(rows, budget)
        padded = sum(len(batch) * max(len(row.input_ids) for row in batch) for batch in batches)
        train(stage, batches)  # warm up; the cache of features is full afterwards
        rate = tokens / fastest(lambda batches=batches: train(stage, batches), times=2)
        first = first or rate
        out.write(
            f"{name:22}{len(batches):>8}{1 - tokens / padded:>9.1%}{rate:>10,.0f}"
            f"{rate / first:>7.2f}\n"
        )
        out.flush()


if __name__ == "__main__":
    main()
