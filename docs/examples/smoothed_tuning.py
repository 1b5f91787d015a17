"""A new stage: does label smoothing make extractions less sure, and better?"""

from typing import Any

from torch import Tensor, nn

from mmlite.batch import Batch
from mmlite.stages import Stage


class SmoothedTuning(Stage):
    """Extraction tuning with label smoothing.

    Args:
        smoothing: Share of the probability that is spread over all tokens, from 0 to 1.
        arguments: Those of `Stage`.
    """

    default_trainable = ("projector", "language")

    def __init__(self, *arguments: Any, smoothing: float = 0.1, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.smoothing = smoothing

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the smoothed cross entropy, summed, and the number of tokens."""
        logits, targets = self.built(batch)
        total = nn.functional.cross_entropy(
            logits, targets, reduction="sum", label_smoothing=self.smoothing
        )
        return total, targets.numel()
