"""TensorBoard's HPARAMS tab: what runs differ in, beside what came out."""

import os
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.tensorboard.summary import hparams

from callbacks.tensorboard import writers
from mmlite.batch import Batch
from mmlite.models.language import LanguageModel, count_non_embedding
from mmlite.parallel import summed
from mmlite.stages import Stage

METRICS = ("train/loss_mean", "val/loss", "val/score", "train/loss")
"""Metrics that are compared first; a run that does not log one leaves its place empty."""

PARTS = ("vision", "projector", "language")
"""Parts whose learning rates are always compared; 0 for one that is frozen or not there."""


class HyperParameters(Callback):
    """Fill TensorBoard's HPARAMS tab, so that the runs under one folder compare there.

    One line per run: stage, non-embedding parameters of the language model, steps, mean number of
    sequences per optimizer step, seed, names of the parts that learn, number of parameters that
    learn, highest learning rate of each part; then the last value of the training loss and of
    everything that was logged of validation.

    TensorBoard takes the columns of all runs from the first run it finds. So the runs of all
    stages name the same columns, in the same order, before those that only they have.
    """

    def __init__(self) -> None:
        self._sequences = 0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sequences = 0
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self._sequences += batch.num_sequences

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stage), "mmlite trains stages"
        steps = max(1, trainer.global_step - self._first_step)
        ((sequences,),) = summed({0: [float(self._sequences)]}).values()
        values = parameters_of(trainer, pl_module, batch_size=sequences / steps)
        logged = sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
        # Names are enough: TensorBoard takes the values from the run's scalars.
        summaries = hparams(values, dict.fromkeys((*METRICS, *logged), 0.0))
        for writer in writers(trainer):
            for summary in summaries:
                writer._get_file_writer().add_summary(summary, trainer.global_step)


def parameters_of(trainer: Trainer, stage: Stage, *, batch_size: float) -> dict[str, Any]:
    """Return what a run is made of as names and plain values.

    Args:
        trainer: Has its optimizers.
        stage: What is trained.
        batch_size: Sequences per optimizer step, of all processes and accumulated batches.
    """
    language = stage.parts.get("language")
    is_language = isinstance(language, LanguageModel)
    values: dict[str, Any] = {
        "stage": type(stage).__name__,
        "language_parameters": count_non_embedding(language) if is_language else 0,
        "max_steps": int(trainer.estimated_stepping_batches),
        "batch_size": batch_size,
        "seed": int(os.environ.get("PL_GLOBAL_SEED", "0")),
        "trainable": ", ".join(stage.trainable),
        "trainable_parameters": sum(row.trainable for row in stage.part_rows),
        **{f"lr/{part}": 0.0 for part in PARTS},
    }
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            name, rate = f"lr/{group['part']}", group.get("initial_lr", group["lr"])
            values[name] = max(values.get(name, 0.0), float(rate))
    return values
