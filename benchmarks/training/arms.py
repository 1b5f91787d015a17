"""One way to train, in a process of its own, so that its peak memory is its own.

Started by `benchmarks.train_vs_transformers`: arms.py ARM FOLDER OUT, where FOLDER has the weights
(`parts.py`), the rows (`mix.py`) and `setup.json`. Both ways take the same optimizer steps over the
same rows; mmlite cuts a step's rows into batches by length, transformers takes them as they come.
"""

import logging
import sys
import warnings
from pathlib import Path

from benchmarks.training.measured import Measured, Setup

TRANSFORMERS = "transformers"
"""The way that is no key of `OURS`."""


def run_arm(arm: str, folder: Path, out: Path) -> Measured:
    """Train in one way.

    Args:
        arm: `transformers`, or a key of `OURS`.
        folder: Weights, rows and setup.
        out: What the run would write to.
    """
    # Each way loads what its user would, so that neither pays for the other's imports.
    setup = Setup.read(folder)
    if arm == TRANSFORMERS:
        from benchmarks.training.theirs import train_transformers

        return train_transformers(folder, setup, out)
    from benchmarks.training.ours import OURS, train_mmlite

    return train_mmlite(folder, setup, out, OURS[arm])


def quiet() -> None:
    """Keep what libraries tell their users out of the way."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def main(arm: str, folder: Path, out: Path) -> None:
    """Train in one way and write what was measured."""
    quiet()
    run_arm(arm, folder, out).write(out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
