"""The progress of a run: one bar with the time left, or plain lines where there is no terminal."""

import logging
import math
import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10
"""How often a run without a terminal says how far it is."""

SECONDS_BETWEEN_NUMBERS = 1.0
"""How often a bar shows other losses: a GPU that is asked for one is waited for."""


class RunProgress(ProgressBar):
    """Show how far the whole run is, in optimizer steps, and how far its measuring is."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(file=sys.stderr)
        self.is_shown = True
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, float] = {}
        self.resumed_at = 0
        """Optimizer steps that were taken before this process began."""
        self.last_line = time.monotonic()
        self.told = ""
        self.told_at = -math.inf

    def disable(self) -> None:
        """Show nothing; Lightning asks this of all processes but the first."""
        self.is_shown = False

    def enable(self) -> None:
        """Show progress again."""
        self.is_shown = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.is_shown and self.console.is_terminal and self.progress is None:
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TimeRemainingColumn(),
                TextColumn("left  {task.fields[told]}"),
                console=self.console,
            )
            self.progress.start()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started["train"] = time.monotonic()
        self.resumed_at = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started["validate"] = time.monotonic()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started["test"] = time.monotonic()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started["predict"] = time.monotonic()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
        self.progress = None
        self.tasks.clear()
        self.told, self.told_at = "", -math.inf

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        total = trainer.estimated_stepping_batches
        self._show(trainer, "train", trainer.global_step, total)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self._show(trainer, "validate", batch_idx + 1, self.total_val_batches)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._show(trainer, "test", batch_idx + 1, sum(trainer.num_test_batches))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._show(trainer, "predict", batch_idx + 1, sum(trainer.num_predict_batches))

    def _show(self, trainer: Trainer, what: str, done: int, total: float) -> None:
        if not self.is_shown:
            return
        if self.progress is not None:
            known = total if math.isfinite(total) else max(done, 1)
            told = self._told(trainer, is_end=done == total)
            if what not in self.tasks:
                self.tasks[what] = self.progress.add_task(what, total=known, told=told)
            self.progress.update(self.tasks[what], completed=done, total=known, told=told)
        elif math.isfinite(total) and self._is_due(what, done, total):
            self.last_line = time.monotonic()
            told = f"{what} {done}/{int(total)}"
            made = done - self.resumed_at if what == "train" else done
            if made > 0:  # none yet where the first step takes many batches
                left = (self.last_line - self.started[what]) / made * (total - done)
                told += f", {left:.0f} s left"
            _log.info("%s", "  ".join(filter(None, [told, _metrics(trainer)])))

    def _told(self, trainer: Trainer, *, is_end: bool) -> str:
        if is_end or time.monotonic() - self.told_at >= SECONDS_BETWEEN_NUMBERS:
            self.told, self.told_at = _metrics(trainer), time.monotonic()
        return self.told

    def _is_due(self, what: str, done: int, total: float) -> bool:
        is_end = done == total and what != "validate"
        return is_end or time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES


def _metrics(trainer: Trainer) -> str:
    loss = {k: v for k, v in trainer.callback_metrics.items() if k == "train/loss"}
    shown = {**loss, **trainer.progress_bar_metrics}
    return "  ".join(f"{name} {float(value):.3f}" for name, value in shown.items())
