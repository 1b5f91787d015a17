"""The stages that are measured: what learns in each, and from what kinds of rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.training.mix import CAPTIONS, EXTRACTIONS, KINDS, Kind

ALPHA = 16.0
DROPOUT = 0.1
"""Of low-rank updates, as in `experiments/paper/overlays/qlora.yaml`."""


@dataclass(frozen=True)
class Tuning:
    """One stage.

    Attributes:
        learns: Parts that learn.
        kinds: Of rows.
        learning_rate: Of all parts alike.
        adapter_rank: Above 0, the language model is kept in 4 bits, and low-rank updates of this
            rank learn in its stead.
    """

    learns: tuple[str, ...]
    kinds: Mapping[str, Kind]
    learning_rate: float
    adapter_rank: int = 0


TUNINGS = {
    "instruction": Tuning(("projector", "language"), KINDS, 1e-3),
    "alignment": Tuning(("projector",), CAPTIONS, 1e-3),
    "full": Tuning(("vision", "projector", "language"), KINDS, 1e-5),
    "extraction": Tuning(("projector", "language"), EXTRACTIONS, 2e-4, adapter_rank=64),
}
"""By name. `instruction`, with a learning rate at which a model of no size learns at once, is that
of the programs for the CPU; the others are stages of arXiv:2511.17487 as `experiments/paper/` has
them, extraction tuning with its QLoRA overlay."""
