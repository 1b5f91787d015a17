"""The composed configuration, kept in a run's folder."""

import os
from pathlib import Path

from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from mmlite.runs import CONFIG_FILE


class ConfigRecord(Callback):
    """Write the composed configuration into the run's folder before training starts."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, *, folder: str) -> None:
        self.parser = parser
        self.config = config
        self.folder = Path(folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.is_global_zero and stage == "fit":
            self.folder.mkdir(parents=True, exist_ok=True)
            text = self.parser.dump(self.config, skip_none=False)
            part = self.folder / f".{CONFIG_FILE}.part"
            part.write_text(text)
            os.replace(part, self.folder / CONFIG_FILE)
