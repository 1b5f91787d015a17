"""Measure what the cache of frozen vision features saves of a training step.

Extraction tuning with the cache switched off, in memory and on disk. The first pass over the
pictures fills the cache, the second one reads it. The same batches, one thread.

Run: python -m benchmarks.features [--size a|b|c|d] [--steps N]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import build, fastest, first_batches, train_once
from mmlite.features import FeatureCache
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.processor import Encoded
from mmlite.stages import Stage


def train(stage: Stage, batches: Sequence[Sequence[Encoded]]) -> None:
    """Compute the gradients of every batch."""
    for rows in batches:
        train_once(stage, rows)


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="d", choices=("a", "b", "c", "d"))
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage, data = build("extraction", arguments.size, folder)
        batches = first_batches(data, arguments.steps)
        images = sum(len(row.images) for rows in batches for row in rows)
        fingerprint = weights_fingerprint(stage.parts["vision"])
        stage.processor.features = None
        train(stage, batches[:2])  # warm up
        measured = {"off": fastest(lambda: train(stage, batches))}
        for name, place in (("memory", None), ("disk", str(Path(folder) / "features"))):
            stage.processor.features = cache = FeatureCache(place)
            cache.open(fingerprint)
            measured[f"{name}, first pass"] = fastest(lambda: train(stage, batches), times=1)
            cache.flush()

            def again(place: str | None = place) -> None:
                if place is not None:  # as another process finds it
                    stage.processor.features = FeatureCache(place)
                    stage.processor.features.open(fingerprint)
                train(stage, batches)

            measured[f"{name}, second pass"] = fastest(again)
    out = sys.stdout
    out.write(f"size {arguments.size}, {images} pictures in {len(batches)} steps\n")
    out.write(f"{'cache':24}{'ms per step':>12}{'pictures/s':>12}{'ratio':>7}\n")
    for name, seconds in measured.items():
        step = 1000 * seconds / len(batches)
        ratio = measured["off"] / seconds
        out.write(f"{name:24}{step:>12.1f}{images / seconds:>12,.0f}{ratio:>7.2f}\n")


if __name__ == "__main__":
    main()
