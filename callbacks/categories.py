"""Accuracy by category and group while a stage is validated or tested."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from mmlite.parallel import summed
from mmlite.stages.answers import Answered


class CategoryMetrics(Callback):
    """Log how good the answers are, by task and category, over all processes.

    Keys are `val/<task>/<category>/score`, `val/<task>/group/<group>/score` and
    `val/<task>/all/score`, with `/unreadable` beside each: the mean score of the answers, and the
    share of answers that could not be read, which count as 0 in the score. Both are fractions.
    Every question weighs the same. In `mmlite test` the keys begin with `test`.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[float]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counts = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for answered in answers_of(outputs):
            for name in _names(answered):
                row = self._counts.setdefault(name, [0.0, 0.0, 0.0])
                row[0] += answered.score
                row[1] += answered.parsed is None
                row[2] += 1

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counts = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "test")

    def _log(self, module: LightningModule, split: str) -> None:
        values: dict[str, float] = {}
        for name, (score, unreadable, number) in sorted(summed(self._counts).items()):
            values[f"{split}/{name}/score"] = score / number
            values[f"{split}/{name}/unreadable"] = unreadable / number
        # Summed already, so every process logs the same numbers and their mean changes nothing.
        module.log_dict(values, sync_dist=True)


def answers_of(outputs: Any) -> list[Answered]:
    """Return the answers in what a stage's validation step returned; many have none."""
    return list(outputs.get("answered") or ()) if isinstance(outputs, dict) else []


def _names(answered: Answered) -> list[str]:
    example = answered.example
    names = [f"{example.task}/all"]
    if example.category:
        names.append(f"{example.task}/{example.category}")
    if example.group:
        names.append(f"{example.task}/group/{example.group}")
    return names
