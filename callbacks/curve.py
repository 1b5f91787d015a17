"""The curve of the training loss: few points, each a mean over many tokens."""

import logging
import math
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from callbacks.tensorboard import writers
from callbacks.totals import write_json
from mmlite.batch import Batch
from mmlite.parallel import rank, summed, world_size
from mmlite.stages import Stage

_log = logging.getLogger(__name__)

CURVE_FILE = "curve.json"
"""Name of the file in a run's folder."""

MIN_POINTS = 20
"""Fewer points than this cannot tell whether a curve has flattened."""

MIN_STEPS = 200
"""A run of fewer optimizer steps has hardly begun, however flat its curve looks."""

MAX_CHANGE = 0.1
"""Relative change of the loss below which a curve has flattened."""

RULE = (
    "The mean loss of the last 10 % of the points differs from that of the points between half and "
    f"three quarters of the run by less than {MAX_CHANGE:.0%} of the latter. With fewer than "
    f"{MIN_POINTS} points or {MIN_STEPS} steps it has not flattened. A learning rate that falls to "
    "the end flattens a curve too, so a flat one may be a plateau."
)


class LossCurve(Callback):
    """Write the training loss of a run as `curve.json`: points, and whether it has flattened.

    The loss of a single step is noisy. A point is the mean over one part of the run, each
    supervised token of all processes and accumulated batches weighing the same. The file has
    `points` (pairs of last step and mean loss), `flattened` and `rule`, in words. The points are
    in TensorBoard too, as `train/loss_mean`. A resumed run goes on with its curve.

    Args:
        num_points: Parts of equal length that the run is cut into.
    """

    def __init__(self, num_points: int = 50) -> None:
        if num_points < 1:
            raise ValueError(
                f"LossCurve.num_points: got {num_points}, allowed: 1 or more; 50 is usual"
            )
        self.num_points = num_points
        # Losses as tensors: to ask a GPU for one is to wait for it.
        self._points: dict[int, tuple[Tensor | float, float]] = {}
        self._ends: dict[int, int] = {}
        self._waiting: list[tuple[Tensor, int]] = []
        self._steps = 1
        self._last_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._steps = max(1, int(trainer.estimated_stepping_batches))
        self._last_step = trainer.global_step
        self._waiting = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        # Lightning has divided by the accumulated batches; the stage multiplied by the processes.
        assert isinstance(pl_module, Stage), "mmlite trains stages"
        total = outputs["loss"].detach().double() / world_size()
        self._waiting.append((total, pl_module.num_terms))
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        place = (self._last_step - 1) * self.num_points // self._steps
        loss, terms = self._points.get(place, (0.0, 0.0))
        for more, more_terms in self._waiting:
            loss, terms = loss + more, terms + more_terms
        self._points[place] = (loss, terms)
        self._ends[place] = self._last_step
        self._waiting = []

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        points = self.points()
        if not trainer.is_global_zero or not points:
            return
        for writer in writers(trainer):
            for step, loss in points:
                writer.add_scalar("train/loss_mean", loss, step)
        flat = flattened(points)
        known = [[step, loss if math.isfinite(loss) else None] for step, loss in points]
        path = Path(trainer.default_root_dir) / CURVE_FILE
        write_json(path, {"points": known, "flattened": flat, "rule": RULE})
        _log.info("The loss curve %s; it is in %s", "is flat" if flat else "is not flat yet", path)

    def points(self) -> list[tuple[int, float]]:
        """Return the points so far, of all processes; every process must call it."""
        total = summed(self._numbers())
        return [
            (self._ends[place], total[place][0] / total[place][1])
            for place in sorted(total)
            if total[place][1]  # else there was nothing to learn
        ]

    def _numbers(self) -> dict[int, list[float]]:
        return {place: [float(loss), terms] for place, (loss, terms) in self._points.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"points": summed(self._numbers()), "ends": dict(self._ends)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._ends = dict(state_dict["ends"])
        # The state is the sum over all processes, so only one of them goes on from it.
        points = {place: tuple(point) for place, point in state_dict["points"].items()}
        self._points = points if rank() == 0 else {}


def flattened(points: list[tuple[int, float]]) -> bool:
    """Tell whether a curve has flattened, by `RULE`.

    Args:
        points: Last step and mean loss of each part of the run.
    """
    losses = [loss for _, loss in points]
    if len(losses) < MIN_POINTS or points[-1][0] < MIN_STEPS:
        return False
    if not all(math.isfinite(loss) for loss in losses):
        return False
    last = losses[-(len(losses) // 10) :]
    before = losses[len(losses) // 2 : 3 * len(losses) // 4]
    reference = sum(before) / len(before)
    return abs(sum(last) / len(last) - reference) < MAX_CHANGE * reference
