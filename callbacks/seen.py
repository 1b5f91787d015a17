"""What a run has seen and how long it took; and the memory it needed."""

import resource
import sys
from dataclasses import dataclass, fields
from typing import Self

import torch

from mmlite.parallel import gathered

SAME_EVERYWHERE = ("steps", "seconds", "waiting_seconds")
"""What processes do together: it is averaged over them, everything else is added up."""


@dataclass
class Seen:
    """What was trained on, and how long it took.

    Attributes:
        steps: Optimizer steps.
        images: Images, each as often as it was shown.
        sequences: Examples.
        supervised_tokens: Tokens that were learnt.
        all_tokens: Tokens without padding.
        padded_tokens: Tokens with padding.
        seconds: Time of training, validation and checkpoints left out.
        waiting_seconds: Part of it between steps: waiting for data.
        rows: Rows of the batches; several examples share one where they are packed.
    """

    steps: float = 0
    images: float = 0
    sequences: float = 0
    supervised_tokens: float = 0
    all_tokens: float = 0
    padded_tokens: float = 0
    seconds: float = 0
    waiting_seconds: float = 0
    rows: float = 0

    def add(self, other: Self) -> None:
        """Add what was seen elsewhere or later."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def rates(self) -> dict[str, float]:
        """Return tokens, examples and steps per second, how full batches were, and the waiting."""
        seconds = max(self.seconds, 1e-9)
        return {
            "supervised_tokens_per_second": self.supervised_tokens / seconds,
            "tokens_per_second": self.all_tokens / seconds,
            "examples_per_second": self.sequences / seconds,
            "steps_per_second": self.steps / seconds,
            "padding_share": 1 - self.all_tokens / max(self.padded_tokens, 1),
            "packing_efficiency": self.all_tokens / max(self.padded_tokens, 1),
            "examples_per_row": self.sequences / max(self.rows, 1),
            "data_wait_share": self.waiting_seconds / seconds,
        }


def over_processes(own: Seen) -> Seen:
    """Return what all processes have seen together; every process must call it."""
    parts = gathered(own)
    total = Seen()
    for part in parts:
        total.add(part)
    for name in SAME_EVERYWHERE:
        setattr(total, name, getattr(total, name) / len(parts))
    return total


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory that any process had at a time, in MB; every process must call it.

    Args:
        device: Of the model; on a GPU its memory is meant, else that of the process.
    """
    if device.type == "cuda":
        peak = float(torch.cuda.max_memory_allocated(device))
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    return max(gathered(peak)) / 1e6
