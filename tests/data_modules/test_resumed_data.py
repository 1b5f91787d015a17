"""A run that is killed goes on with the next batch, from a checkpoint that is whole."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace
from lightning import Callback
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy
from tiny import tiny_examples, tiny_stage, tiny_trainer

from data_modules import Mixed, TextData
from data_modules.batching import BatchBudget
from data_modules.sources import Source
from mmlite.training.checkpoint import InPlace, LastCheckpoint, WholeSteps
from mmlite.training.defaults import fill_in


class Examples(Source):
    name = "examples"

    def rows(self, split):
        return [(example,) for example in tiny_examples(17)]


FOUR_ROWS = BatchBudget(4)


class Killed(Exception):
    """Stands for the signal that ends a process."""


class Watch(Callback):
    def __init__(self, kill_after: int | None = None, validations: int | None = None) -> None:
        self.seen: list[list[list[int]]] = []
        self.validated: list[int] = []
        self.kill_after = kill_after
        self.kill_after_validations = validations

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if len(self.seen) == self.kill_after:
            raise Killed
        self.seen.append(batch.input_ids.tolist())

    def on_validation_start(self, trainer, pl_module):
        if len(self.validated) == self.kill_after_validations:
            raise Killed
        self.validated.append(trainer.global_step)


def fit(
    folder: Path,
    watch: Watch,
    *,
    saved: int,
    resume: bool,
    budget: BatchBudget = FOUR_ROWS,
    **trainer: Any,
) -> None:
    stage = tiny_stage()
    sources: Any = {"train": [Mixed(Examples())], "validation": [Examples()]}
    data = TextData(stage.processor, **sources, budget=budget, seed=1)
    keep = LastCheckpoint(str(folder / "kept"), every_n_train_steps=saved)
    # Without max_steps the stage asks Lightning how many steps there are, which makes the loader
    # before its state is restored.
    quiet = {"limit_val_batches": 0, "num_sanity_val_steps": 0, "enable_checkpointing": True}
    arguments = {"max_epochs": 3, **quiet, **trainer}
    made = tiny_trainer(folder, callbacks=[keep, WholeSteps(), watch], **arguments)
    path = folder / "kept" / "last.ckpt" if resume else None
    made.fit(stage, data, ckpt_path=path, weights_only=True)


@pytest.mark.parametrize("saved", [3, 5, 7, 10])  # an epoch has five batches
def test_epochs_are_resumed_in_their_middle(saved, tmp_path):
    whole, first, second = Watch(), Watch(kill_after=min(saved + 1, 2 * saved - 1)), Watch()
    fit(tmp_path / "whole", whole, saved=100, resume=False)
    with pytest.raises(Killed):
        fit(tmp_path / "run", first, saved=saved, resume=False)
    fit(tmp_path / "run", second, saved=saved, resume=True)
    assert len(whole.seen) == 15
    assert second.seen == whole.seen[saved:]


def sharded() -> ModelParallelStrategy:
    """Return the strategy of one process, which restores a run after its optimizer was made."""
    return ModelParallelStrategy(1, 1, process_group_backend="gloo")


@pytest.mark.parametrize(
    ("budget", "steps"), [(BatchBudget(4), {}), (BatchBudget(2, pack_tokens=60), {"max_steps": 12})]
)
def test_sharded_epochs_are_resumed_in_their_middle(budget, steps, tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(find_free_network_port()))
    whole, first, second = Watch(), Watch(kill_after=5), Watch()
    fit(tmp_path / "whole", whole, saved=100, resume=False, budget=budget, **steps)
    for watch in (first, second):
        sharding = {"strategy": sharded(), "devices": 1}
        is_second = watch is second
        with nullcontext() if is_second else pytest.raises(Killed):
            fit(
                *(tmp_path / "run", watch),
                **{"saved": 3, "resume": is_second, "budget": budget, **steps, **sharding},
            )
    assert first.seen == whole.seen[:5]
    assert second.seen == whole.seen[3:]


def test_a_sharded_run_without_a_step_left_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(find_free_network_port()))
    run = {"folder": tmp_path / "run", "devices": 1, "saved": 3}
    fit(watch=Watch(), resume=False, strategy=sharded(), max_steps=4, **run)
    with pytest.raises(ValueError, match="of the run's last step, allowed: an earlier one, or a"):
        fit(watch=Watch(), resume=True, strategy=sharded(), max_steps=3, **run)


@pytest.mark.parametrize("budget", [BatchBudget(4), BatchBudget(2, pack_tokens=60)])
@pytest.mark.parametrize("saved", [1, 2, 3])
def test_epochs_of_fewer_batches_are_resumed(budget, saved, tmp_path):
    limits: Any = {"limit_train_batches": 2, "max_epochs": -1, "max_steps": 8}
    whole, first, second = Watch(), Watch(kill_after=min(saved + 1, 2 * saved - 1)), Watch()
    fit(tmp_path / "whole", whole, saved=100, resume=False, budget=budget, **limits)
    with pytest.raises(Killed):
        fit(tmp_path / "run", first, saved=saved, resume=False, budget=budget, **limits)
    fit(tmp_path / "run", second, saved=saved, resume=True, budget=budget, **limits)
    assert len(whole.seen) == 8
    assert second.seen == whole.seen[saved:]


@pytest.mark.parametrize("validations", [1, 2])
@pytest.mark.parametrize("every", [3, 5])  # an epoch has five batches
def test_a_run_killed_before_a_validation_makes_up_for_it(validations, every, tmp_path):
    measured: Any = {"max_epochs": -1, "max_steps": 16, "limit_val_batches": 1}
    measured |= {"val_check_interval": every, "check_val_every_n_epoch": None}
    whole, first, second = Watch(), Watch(validations=validations), Watch()
    fit(tmp_path / "whole", whole, saved=every, resume=False, **measured)
    with pytest.raises(Killed):
        fit(tmp_path / "run", first, saved=every, resume=False, **measured)
    fit(tmp_path / "run", second, saved=every, resume=True, **measured)
    assert whole.validated == list(range(every, 16, every))
    assert first.validated + second.validated == whole.validated
    assert second.seen == whole.seen[len(whole.seen) - len(second.seen) :]
    assert len(second.seen) < len(whole.seen) - every * (validations - 1)


def test_a_resumed_run_is_saved_between_steps_alone(tmp_path):
    steps: Any = {"accumulate_grad_batches": 2, "max_epochs": -1, "max_steps": 6}
    whole, first, second, third = Watch(), Watch(7), Watch(2), Watch()
    fit(tmp_path / "whole", whole, saved=100, resume=False, **steps)
    for watch, resume in ((first, False), (second, True)):  # killed after step 3 was saved
        with pytest.raises(Killed):
            fit(tmp_path / "run", watch, saved=3, resume=resume, **steps)
    fit(tmp_path / "run", third, saved=3, resume=True, **steps)
    assert second.seen == whole.seen[5:7]  # an epoch's fifth batch is a step of its own
    assert third.seen == whole.seen[5:]
    kept = tmp_path / "run" / "kept"
    assert {path.name for path in kept.iterdir()} == {"step=3.ckpt", "last.ckpt"}


@pytest.mark.parametrize("killed_in", ["save_checkpoint", "remove_checkpoint"])
def test_a_run_killed_while_it_saves_leaves_a_whole_checkpoint(killed_in, tmp_path, monkeypatch):
    def half(self, checkpoint=None, path="", storage_options=None):
        if killed_in == "save_checkpoint":
            Path(path).write_bytes(b"half of it")
        raise Killed

    def killed_later(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 3:
            owner = InPlace if killed_in == "save_checkpoint" else TorchCheckpointIO
            monkeypatch.setattr(owner, killed_in, half)

    monkeypatch.setattr(Watch, "on_train_batch_start", killed_later)
    with pytest.raises(Killed):
        fit(tmp_path / "run", Watch(), saved=2, resume=False)
    last = tmp_path / "run" / "kept" / "last.ckpt"
    step = {"save_checkpoint": 2, "remove_checkpoint": 4}[killed_in]
    assert torch.load(last, weights_only=True)["global_step"] == step


@pytest.mark.parametrize("has_links", [True, False])
def test_a_run_that_is_stopped_leaves_a_checkpoint_of_where(has_links, tmp_path, monkeypatch):
    def stopping(self, trainer, pl_module, batch, batch_idx):
        trainer.should_stop = trainer.global_step == 4

    def refuse(self, target):
        raise PermissionError

    monkeypatch.setattr(Watch, "on_train_batch_start", stopping)
    if not has_links:
        monkeypatch.setattr(Path, "symlink_to", refuse)
    fit(tmp_path / "run", Watch(), saved=3, resume=False)
    last = tmp_path / "run" / "kept" / "last.ckpt"
    assert last.is_symlink() is has_links
    assert torch.load(last, weights_only=True)["global_step"] == 5


def test_what_else_is_called_a_checkpoint_does_not_take_its_place(tmp_path):
    rescue = "lightning.pytorch.callbacks.OnExceptionCheckpoint"
    trainer = Namespace(callbacks=[Namespace(class_path=rescue, init_args=Namespace())])
    fill_in(trainer, tmp_path)
    names = [callback.class_path.rpartition(".")[2] for callback in trainer.callbacks]
    assert names == ["OnExceptionCheckpoint", "LastCheckpoint", "RunProgress"]
