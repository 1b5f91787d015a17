"""What `mmlite predict` answered, on disk."""

import re
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from mmlite.parallel import gathered
from mmlite.predictions import write_predictions
from mmlite.records import Prediction


class PredictionWriter(Callback):
    """Write the predictions of `mmlite predict` to `predictions/<stage>.jsonl` in the run's folder.

    The stage's name is that of its class in lower case, such as `extraction_tuning`. The file is
    written whole or not at all, by the first process, with the predictions of all processes.
    """

    def __init__(self) -> None:
        self._predictions: list[Prediction] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._predictions = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not isinstance(outputs, list) or not all(isinstance(o, Prediction) for o in outputs):
            raise ValueError(
                f"{type(pl_module).__name__}.predict_step: got {type(outputs).__name__}, allowed: "
                "a list of mmlite.records.Prediction; return one per question, or leave "
                "PredictionWriter out of trainer.callbacks"
            )
        self._predictions += outputs

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = [prediction for part in gathered(self._predictions) for prediction in part]
        if trainer.is_global_zero:
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(pl_module).__name__).lower()
            path = Path(trainer.default_root_dir) / "predictions" / f"{name}.jsonl"
            write_predictions(path, found)
