"""Measure what each switch of training costs and saves: time, processor time and memory.

Each way runs in a process of its own, over the same weights, rows and steps; see
`benchmarks/train_vs_transformers.py`, whose table this is. The program stops with an error if a
switch changes a loss.

Run: python -m benchmarks.switches [--threads 2] [--steps 4] [--tiny]
"""

import argparse
import sys

from benchmarks.train_vs_transformers import compare, table
from benchmarks.training.measured import Setup
from benchmarks.training.ours import OURS
from benchmarks.training.shapes import TINY, Shape


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="a model of no size: does it run?")
    given = parser.parse_args()
    setup = Setup(
        shape=TINY if given.tiny else Shape(), steps=given.steps, batch_size=given.batch_size
    )
    sys.stdout.write(table(compare(setup, tuple(OURS), given.threads)))


if __name__ == "__main__":
    main()
