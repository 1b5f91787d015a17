"""Tiny real runs of training, validation and prediction, for tests of observers."""

from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TinyData, png, tiny_stage

from data_modules.batching import BatchBudget, BatchPlan, PlannedLoader
from mmlite.generation import Decoding
from mmlite.records import Example, ImageRef, Turn
from mmlite.stages import Stage
from mmlite.stages.answers import Answered

CATEGORIES = {"count": "vision", "locate": "vision", "fact": "language"}


def question(row: int, **fields) -> Example:
    category = list(CATEGORIES)[row % 3]
    images = () if category == "fact" else (ImageRef(data=png(row)),)
    answer = ["red", "blue", "green"][row % 3]
    turns = (
        Turn("user", "<image>" * len(images) + "what is ?"),
        Turn("assistant", f"{answer} .", trained=True),
    )
    known = {
        "task": "short_answer",
        "question": "what is ?",
        "category": category,
        "group": CATEGORIES[category],
        "answers": (answer,),
    }
    return Example(f"q{row}", turns, images, **{**known, **fields}, source="tiny", row=row)


def answered(row: int, *, score: float = 1.0, parsed: str | None = "red", **fields) -> Answered:
    example = question(row, **fields)
    return Answered(example, example.answers[0], parsed or "red red", parsed, score)


class Questions(TinyData):
    """Trains on tiny examples, is validated on and predicts nine questions."""

    def val_dataloader(self) -> PlannedLoader:
        plan = BatchPlan(
            lambda epoch: [question(row) for row in range(9)],
            self.processor.encode_example,
            size=9,
            budget=BatchBudget(4),
        )
        return PlannedLoader(plan, self.processor.collate)

    test_dataloader = predict_dataloader = val_dataloader


class KeepFirst(Callback):
    """Saves a checkpoint after the second step, as if the run were killed there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 2:
            trainer.save_checkpoint(self.path)


def tiny_run(callbacks: list[Callback], folder: Path, *, logs: bool = True, **options):
    """Return a trainer, a stage and data that take four steps, validated every second."""
    torch.set_num_threads(1)
    seed_everything(3)
    stage = tiny_stage(decoding=Decoding(max_new_tokens=3))
    logger = TensorBoardLogger(folder, name="", version="logs", default_hp_metric=False)
    settings = {
        "max_steps": 4,
        "val_check_interval": 2,
        "logger": logger if logs else False,
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        **options,
    }
    trainer = Trainer(
        **settings,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
        default_root_dir=folder,
    )
    return trainer, stage, Questions(stage.processor, number=24, batch_size=4)


def fit(callbacks: list[Callback], folder: Path, **options) -> tuple[Trainer, Stage]:
    trainer, stage, data = tiny_run(callbacks, folder, **options)
    trainer.fit(stage, data)
    return trainer, stage


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "logs"), size_guidance={"images": 0}).Reload()
