"""The table of parts: what a run trains, and what it leaves alone."""

from dataclasses import asdict
from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.tensorboard import table, writers
from callbacks.totals import write_json
from mmlite.stages import Stage

PARTS_FILE = "parts.json"
"""Name of the file in a run's folder."""


class PartsReport(Callback):
    """Write the parts of the model as a table to TensorBoard, and as `parts.json`.

    The file is a list of rows with `part`, `parameters`, `trainable` (how many of them learn) and
    `dtypes`.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stage), "mmlite trains stages"
        if not trainer.is_global_zero:
            return
        rows = pl_module.part_rows
        write_json(Path(trainer.default_root_dir) / PARTS_FILE, [asdict(row) for row in rows])
        cells = [(r.part, f"{r.parameters:,}", f"{r.trainable:,}", r.dtypes) for r in rows]
        total, learnt = sum(r.parameters for r in rows), sum(r.trainable for r in rows)
        cells.append(("all", f"{total:,}", f"{learnt:,}", ""))
        text = table(("part", "parameters", "trainable", "dtype"), cells)
        for writer in writers(trainer):
            writer.add_text("parts", text, trainer.global_step)
