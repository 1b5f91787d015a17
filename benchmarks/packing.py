"""How full batches are: by arrival, by length, under a budget of tokens, and packed.

python -m benchmarks.packing

Lengths are drawn from a log-normal distribution around 300 tokens, cut at 2,048: short questions
and long conversations side by side, as in mixtures for instruction tuning. Only planning is
measured; what packing costs in attention is not.
"""

import sys
import time

import numpy as np

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


def main() -> None:
    """Measure and write a table."""
    rows, out = drawn(), sys.stdout
    tokens = sum(len(row.input_ids) for row in rows)
    out.write(f"{'batches':24}{'number':>8}{'efficiency':>12}{'planned in s':>14}\n")
    for name, budget in BUDGETS.items():
        start = time.process_time()
        batches, held = places(rows, budget)
        seconds = time.process_time() - start
        out.write(f"{name:24}{batches:>8,}{tokens / held:>12.1%}{seconds:>14.2f}\n")


if __name__ == "__main__":
    main()
