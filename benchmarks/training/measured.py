"""What all ways to train do alike, and what is measured of them."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from benchmarks.training.mix import ROWS_FILE
from benchmarks.training.parts import Shape
from data_modules.mixture import Mixed
from data_modules.sources import LLaVA
from mmlite.batch import IGNORE_INDEX

SETUP_FILE = "setup.json"
LEARNING_RATE = 1e-3
CLIP = 1.0
"""Gradient norm; the Trainer's default."""


@dataclass(frozen=True)
class Setup:
    """What all arms do alike.

    Attributes:
        shape: Sizes of the model.
        steps: Optimizer steps.
        batch_size: Rows of a batch.
        accumulate: Batches of an optimizer step.
        loss_chunk_tokens: Of the arms that chunk their loss.
    """

    shape: Shape = field(default_factory=Shape)
    steps: int = 6
    batch_size: int = 4
    accumulate: int = 2
    loss_chunk_tokens: int = 128

    @classmethod
    def read(cls, folder: Path) -> "Setup":
        """Read what `write` wrote."""
        values = json.loads((folder / SETUP_FILE).read_text())
        return cls(**{**values, "shape": Shape(**values["shape"])})

    def write(self, folder: Path) -> None:
        """Write it beside weights and rows."""
        (folder / SETUP_FILE).write_text(json.dumps(asdict(self)))


@dataclass
class Measured:
    """What an arm did.

    Attributes:
        losses: Mean loss over the supervised tokens of each optimizer step.
        ends: Time at the end of each optimizer step, in seconds.
        busy: Processor time of the whole process at the end of each step, in seconds.
        supervised: Supervised tokens of each step.
        tokens: Tokens of each step, padding left out.
        padded: Tokens of each step, padding included.
        peak_mb: Most memory the process had.
    """

    losses: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    supervised: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)
    peak_mb: float = 0.0
    _sum: float = 0.0
    _counts: tuple[int, int, int] = (0, 0, 0)

    def add(self, total: float, labels: torch.Tensor, mask: torch.Tensor) -> None:
        """Add a batch: its summed loss and what it was."""
        new = (int((labels[:, 1:] != IGNORE_INDEX).sum()), int(mask.sum()), mask.numel())
        self._sum += total
        self._counts = tuple(a + b for a, b in zip(self._counts, new, strict=True))  # pyright: ignore[reportAttributeAccessIssue]

    def end_step(self) -> None:
        """Note the end of an optimizer step."""
        self.ends.append(time.perf_counter())
        self.busy.append(time.process_time())
        supervised, tokens, padded = self._counts
        self.losses.append(self._sum / max(supervised, 1))
        self.supervised.append(supervised)
        self.tokens.append(tokens)
        self.padded.append(padded)
        self._sum, self._counts = 0.0, (0, 0, 0)


def mixed(folder: Path) -> list[Mixed]:
    """Return the rows as a mixture of one source."""
    return [Mixed(LLaVA(str(folder / "images"), train=str(folder / ROWS_FILE)))]


def own_peak_mb() -> float:
    """Return the most memory this process had at a time, in MB; Linux only.

    Not `getrusage`: a child starts with the peak of the process that started it.
    """
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
