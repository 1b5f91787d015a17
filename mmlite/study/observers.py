"""What watches the runs of a study: how far they are, and what they can share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer

from mmlite.features import FeatureCache
from mmlite.records import content_key
from mmlite.runs import CONFIG_FILE

Report = Callable[[str, int, int], None]
"""Told the job's name, how far it is, and how far it goes."""


class StepReport(Callback):
    """Tell the study how far a run is."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.report = report

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report every ten steps."""
        if trainer.global_step % 10 == 0:
            self.report(self.name, trainer.global_step, int(trainer.max_steps))


class SharedData(Callback):
    """Let runs share encoded training rows where their data are the same, and vision features.

    Args:
        folder: Where processes leave rows for each other; None: they do not.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell the data module what decides its rows, which the run has just recorded."""
        data = getattr(trainer, "datamodule", None)
        share: Callable[[str, Path | None], None] | None = getattr(data, "share_rows", None)
        if share is not None:
            recorded = Path(trainer.default_root_dir) / CONFIG_FILE
            config = yaml.safe_load(recorded.read_text(encoding="utf-8"))
            share(content_key(config["processor"], config["data"]), self.folder)
        features = getattr(getattr(data, "processor", None), "features", None)
        if isinstance(features, FeatureCache):
            features.share()


def report_part(
    report: Callable[[int, int], None],
    number: int,
    parts: int,
    size: int,
    done: int,
    total: int,
) -> None:
    """Report how far one of several equal parts is as how far all of them are.

    Args:
        report: Told how far all are, and how far they go.
        number: Of the part, from 0.
        parts: How many there are.
        size: What a part counts for.
        done: How far the part is.
        total: How far it goes.
    """
    report(number * size + size * done // total, parts * size)
