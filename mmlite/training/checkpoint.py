"""The checkpoint that a killed run goes on from: always one that is whole."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

CHECKPOINTS = "checkpoints"
"""Folder of a run that a killed run is resumed from: `--ckpt_path RUN/checkpoints/last.ckpt`."""


class LastCheckpoint(ModelCheckpoint):
    """Keep the newest checkpoint of a run, `step=N.ckpt`, and a link to it, `last.ckpt`.

    However a run is killed, the link leads to a checkpoint that is whole. It is written under
    another name first, beside its place; Lightning's would be written in the system's temporary
    folder, copied, the one before deleted, and only then the link changed.

    Where a validation follows, it is written a step later: a run that is resumed from before a
    validation does not make up for it.

    Args:
        dirpath: Folder, on a disk with room for two checkpoints.
        every_n_train_steps: Optimizer steps between two of them.
    """

    def __init__(self, dirpath: str, every_n_train_steps: int) -> None:
        super().__init__(
            dirpath,
            filename="{step}",
            save_last="link",
            every_n_train_steps=every_n_train_steps,
            enable_version_counter=False,  # of the link there is one
        )
        self._outdated: list[str] = []
        self._put_off: int | None = None
        """Step whose checkpoint is written a step later."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self._should_skip_saving_checkpoint(trainer) or step == self._put_off:
            return
        if self._put_off is None:
            if step % self._every_n_train_steps:
                return
            fetcher = trainer.fit_loop._data_fetcher
            assert fetcher is not None, "batches come from it"
            if trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher):
                self._put_off = step
                return
        self._put_off = None
        if not _is_over(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that is stopped early can be gone on with. Of a run's own last step there is no
        # checkpoint: Lightning does nothing at all when it resumes from one, so a run killed
        # before its weights are written, which is now, would never leave any.
        is_saved = self._should_skip_saving_checkpoint(trainer)
        if trainer.should_stop and not is_saved and not _is_over(trainer):
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        candidates = self._monitor_candidates(trainer)
        self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        usual = trainer.strategy.checkpoint_io
        if type(usual) is not TorchCheckpointIO:  # a plugin, which knows what it does
            super()._save_checkpoint(trainer, filepath)
            return
        part = Path(f"{filepath}.part")
        if trainer.is_global_zero:
            _remove(part)  # of a run that was killed
        trainer.strategy.checkpoint_io = InPlace()
        try:
            super()._save_checkpoint(trainer, str(part))  # by all processes, which then meet
        finally:
            trainer.strategy.checkpoint_io = usual
        if trainer.is_global_zero:
            _remove(Path(filepath))
            os.replace(part, filepath)
        trainer.strategy.barrier()
        self._last_checkpoint_saved = filepath

    def _remove_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self._outdated.append(filepath)  # until the link leads elsewhere

    def _save_last_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        super()._save_last_checkpoint(trainer, monitor_candidates)
        for filepath in self._outdated:
            super()._remove_checkpoint(trainer, filepath)
        self._outdated.clear()

    @staticmethod
    def _link_checkpoint(trainer: Trainer, filepath: str, linkpath: str) -> None:
        if trainer.is_global_zero:
            part = Path(f"{linkpath}.part")
            _remove(part)
            try:
                part.symlink_to(os.path.relpath(filepath, os.path.dirname(linkpath)))
            except OSError:  # a disk without links
                copy = shutil.copytree if os.path.isdir(filepath) else shutil.copyfile
                copy(filepath, part)
            if not os.path.islink(linkpath):
                _remove(Path(linkpath))
            os.replace(part, linkpath)
        trainer.strategy.barrier()


class WholeSteps(Callback):
    """Let a resumed run write no checkpoint before it has taken a step.

    Lightning's callback would write one after the first batch, which may lie in the middle of a
    step; what was accumulated until then is in no checkpoint.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for keeper in trainer.checkpoint_callbacks:
            if isinstance(keeper, ModelCheckpoint):
                keeper._last_global_step_saved = trainer.global_step


class InPlace(TorchCheckpointIO):
    """Writes a checkpoint where it belongs, not first where the system keeps temporary files."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("wb") as file:
            torch.save(checkpoint, file)


def _is_over(trainer: Trainer) -> bool:
    """Whether a run has taken all the steps or epochs that it was to take."""
    if trainer.global_step == trainer.max_steps:
        return True
    if trainer.max_epochs in (None, -1) or not trainer.is_last_batch:
        return False
    return trainer.current_epoch + 1 >= trainer.max_epochs


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
