"""What a run is given where its configuration says nothing: its log, checkpoints and progress."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmlite.training.checkpoint import CHECKPOINTS

DEFAULT_CHECKPOINT_STEPS = 1000
"""Steps between checkpoints of a run that does not count in steps."""

CHECKPOINTS_PER_RUN = 10
"""How often a run leaves one, so that a kill costs a tenth of it; only the newest is kept."""


def fill_in(trainer: Namespace, folder: Path) -> None:
    """Put logs and checkpoints into the run's folder, and show the whole run's progress."""
    trainer["default_root_dir"] = str(folder)
    if trainer.get("logger") in (None, True):
        trainer["logger"] = _instance(
            "lightning.pytorch.loggers.TensorBoardLogger",
            save_dir=str(folder),
            name="",
            version="logs",
            default_hp_metric=False,
        )
    callbacks = trainer.get("callbacks") or []
    callbacks = list(callbacks) if isinstance(callbacks, list) else [callbacks]
    named = [str(callback.get("class_path")) for callback in callbacks]
    has_saver = any(name.endswith(("ModelCheckpoint", "LastCheckpoint")) for name in named)
    for callback in callbacks:  # Lightning would put them beside the logs
        is_saver = str(callback.get("class_path")).endswith("ModelCheckpoint")
        if is_saver and callback.init_args.get("dirpath") is None:
            callback.init_args.dirpath = str(folder / CHECKPOINTS)
    if trainer.get("enable_checkpointing") in (None, True) and not has_saver:
        callbacks.append(
            _instance(
                "mmlite.training.checkpoint.LastCheckpoint",
                dirpath=str(folder / CHECKPOINTS),
                every_n_train_steps=_steps_between_checkpoints(trainer.get("max_steps") or -1),
            )
        )
    has_progress = any("Progress" in name for name in named)
    if trainer.get("enable_progress_bar") in (None, True) and not has_progress:
        callbacks.append(_instance("mmlite.training.progress.RunProgress"))
    trainer["callbacks"] = callbacks


def _steps_between_checkpoints(max_steps: int) -> int:
    """Return a number of steps that does not divide all of them.

    Lightning does nothing at all when it resumes from the last step, so a run that is killed
    between a checkpoint there and its weights would never leave any.
    """
    if max_steps < 1:
        return DEFAULT_CHECKPOINT_STEPS
    every = max(2, max_steps // CHECKPOINTS_PER_RUN)
    while max_steps % every == 0:
        every += 1
    return every


def _instance(class_path: str, **arguments: Any) -> Namespace:
    return Namespace(class_path=class_path, init_args=Namespace(**arguments))
