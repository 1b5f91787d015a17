"""What all ways to train do alike, and what is measured of them."""

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.flops import Work, training_flops
from benchmarks.training.mix import ROWS_FILE
from benchmarks.training.shapes import Shape
from benchmarks.training.tunings import TUNINGS, Tuning
from data_modules.mixture import Mixed
from data_modules.sources import LLaVA

SETUP_FILE = "setup.json"
MEASURED_FILE = "measured.json"
CLIP = 1.0
"""Gradient norm; the Trainer's default."""


@dataclass(frozen=True)
class Machine:
    """Where arms run, and for how long.

    Attributes:
        device: `cpu` or `cuda`.
        precision: Of the trainer, by Lightning's names: `32-true` or `bf16-mixed`.
        workers: Processes that load images.
        attention: Of packed rows, by transformers' names.
        warmup: Optimizer steps that do not count, at least; one or more.
        warmup_seconds: They take at least so long, from the end of the first one on, in which
            blocks are compiled: kernels are chosen for each new shape.
        seconds: After so many that count no further step begins; None: only steps end a run.
        profile: Whether one step more, which does not count, is recorded kernel by kernel.
    """

    device: str = "cpu"
    precision: str = "32-true"
    workers: int = 0
    attention: str = "sdpa"
    warmup: int = 1
    warmup_seconds: float = 0.0
    seconds: float | None = None
    profile: bool = False


@dataclass(frozen=True)
class Setup:
    """What all arms do alike.

    Attributes:
        shape: Sizes of the model.
        steps: Optimizer steps, at most.
        batch_size: Rows of a batch; with `batch_tokens`, of transformers alone.
        accumulate: Batches of an optimizer step.
        loss_chunk_tokens: Of the arms that chunk their loss.
        tuning: Name of the stage, in `TUNINGS`.
        batch_tokens: Tokens of a batch of mmlite; None: its batches have the same rows too, so that
            the losses of each step are the same.
        pack_tokens: Tokens of a row that several examples share.
        checkpointing: Whether activations are computed again for the backward pass.
        rows: Folder of rows and images, within that of the run.
        weights: Folder of transformers' model within that of the run, where mmlite's parts take
            their weights from it; None: `save_parts` saved all.
        machine: Where arms run.
    """

    shape: Shape = field(default_factory=Shape)
    steps: int = 6
    batch_size: int = 4
    accumulate: int = 2
    loss_chunk_tokens: int = 128
    tuning: str = "instruction"
    batch_tokens: int | None = None
    pack_tokens: int = 4096
    checkpointing: bool = False
    rows: str = "."
    weights: str | None = None
    machine: Machine = field(default_factory=Machine)

    @property
    def stage(self) -> Tuning:
        """What learns, and from what."""
        return TUNINGS[self.tuning]

    @property
    def recomputed(self) -> list[str]:
        """Parts whose activations are computed again: gradients flow through these."""
        if not self.checkpointing:
            return []
        return ["vision", "language"] if "vision" in self.stage.learns else ["language"]

    def flops(self, work: Work) -> float:
        """Return the model FLOPs of training."""
        return training_flops(
            work,
            self.shape.vision,
            self.shape.language,
            learns=self.stage.learns,
            adapter_rank=self.stage.adapter_rank,
        )

    @classmethod
    def read(cls, folder: Path) -> "Setup":
        """Read what `write` wrote."""
        values = json.loads((folder / SETUP_FILE).read_text())
        nested = {"shape": Shape(**values["shape"]), "machine": Machine(**values["machine"])}
        return cls(**{**values, **nested})

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
        flops: Model FLOPs of each step.
        warmup: Steps that do not count, the first ones.
        peak_mb: Most memory: the process's on a CPU, of tensors from the first step on elsewhere.
        kernels: Of a step that does not count, where that was asked for (`kernels.py`), and what
            that step had: `tokens`, `supervised` ones and `tiles`.
    """

    losses: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    supervised: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    warmup: int = 1
    peak_mb: float = 0.0
    kernels: dict[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> "Measured":
        """Read what `write` wrote."""
        return cls(**json.loads((folder / MEASURED_FILE).read_text()))

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        (folder / MEASURED_FILE).write_text(json.dumps(asdict(self)))

    @property
    def seconds(self) -> float:
        """How long the steps took that count, by the clock."""
        return self.ends[-1] - self.ends[self.warmup - 1]

    @property
    def step_seconds(self) -> list[float]:
        """How long each step took that counts, by the clock."""
        return [end - begin for begin, end in pairwise(self.ends[self.warmup - 1 :])]

    @property
    def usual_seconds(self) -> float:
        """How long they would have taken, had each done as many tokens a second as the median."""
        padded = self.padded[self.warmup :]
        steps = zip(padded, self.step_seconds, strict=True)
        return sum(padded) / median(tokens / took for tokens, took in steps)

    def rate(self, counts: list[int] | list[float], *, seconds: float | None = None) -> float:
        """Return what was done per second in the steps that count.

        Args:
            counts: Of each step.
            seconds: How long these steps took; None: by the clock.
        """
        return sum(counts[self.warmup :]) / (self.seconds if seconds is None else seconds)

    @property
    def busy_seconds(self) -> float:
        """How much processor time they took."""
        return self.busy[-1] - self.busy[self.warmup - 1]


def mixed(folder: Path) -> list[Mixed]:
    """Return the rows as a mixture of one source."""
    return [Mixed(LLaVA(str(folder / "images"), train=str(folder / ROWS_FILE)))]
