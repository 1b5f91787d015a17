"""Measure a training step of a micro language model under three optimizers.

AdamW; `mmlite.muon.MuonAdamW`; and `torch.optim.Muon` on the same matrices with AdamW on the rest.
The same batches of text, one thread; only the time of the optimizer differs.

Run: python -m benchmarks.optimizers [--size a|b|c|d] [--steps N]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence

from torch.optim import AdamW, Muon, Optimizer

from benchmarks.runs import build, fastest, first_batches
from mmlite.batch import Batch
from mmlite.muon import MuonAdamW
from mmlite.optim import parameter_groups
from mmlite.stages import Stage


def optimizers(stage: Stage) -> dict[str, list[Optimizer]]:
    """Return what takes a step together, by name."""
    groups = parameter_groups(stage.parts, stage.trainable)
    matrices = [parameter for group in groups if group["matrix"] for parameter in group["params"]]
    others = [group for group in groups if not group["matrix"]]
    return {
        "AdamW": [AdamW(groups)],
        "MuonAdamW": [MuonAdamW(groups)],
        "torch.optim.Muon + AdamW": [Muon(matrices), AdamW(others)],
    }


def gradients(stage: Stage, batches: Sequence[Batch]) -> None:
    """Compute the gradients of every batch."""
    for batch in batches:
        total, count = stage.loss(batch)
        stage.zero_grad()
        (total / count).backward()


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="d", choices=("a", "b", "c", "d"))
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage, data = build("language", arguments.size, folder)
    rows = first_batches(data, arguments.steps)
    batches = [stage.processor.collate(batch) for batch in rows]
    gradients(stage, batches[:3])  # warm up
    both = fastest(lambda: gradients(stage, batches)) / len(batches)
    out, first = sys.stdout, 0.0
    out.write(f"size {arguments.size}, forward and backward alone: {1000 * both:.1f} ms\n")
    out.write(f"{'optimizer':28}{'its ms':>9}{'steps/s':>9}{'ratio':>7}\n")
    for name, together in optimizers(stage).items():

        def step(together: Sequence[Optimizer] = together) -> None:
            for _ in batches:
                for optimizer in together:
                    optimizer.step()

        step()  # makes the optimizer's state
        own = fastest(step) / len(batches)
        rate = 1 / (both + own)
        first = first or rate
        out.write(f"{name:28}{1000 * own:>9.1f}{rate:>9.1f}{rate / first:>7.2f}\n")
        out.flush()


if __name__ == "__main__":
    main()
