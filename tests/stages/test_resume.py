"""A killed run goes on with the very next batch and ends in the very same weights."""

from pathlib import Path

import pytest
import torch
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from tiny import TinyData, tiny_stage, tiny_trainer

from mmlite.muon import MuonAdamW

STEPS = 9


class Killed(Exception):
    """Stands for the signal that ends a process."""


class Watch(Callback):
    """Notes the rows of every batch, and kills the run after so many of them."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.seen: list[list[list[int]]] = []
        self.kill_after = kill_after

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.kill_after is not None and len(self.seen) == self.kill_after:
            raise Killed
        self.seen.append(batch.input_ids.tolist())


class Dropping(Watch):
    """Lets attention drop weights, so that every batch draws."""

    def on_train_start(self, trainer, pl_module):
        for module in pl_module.modules():
            if hasattr(module, "attention_dropout"):
                setattr(module, "attention_dropout", 0.5)  # noqa: B010


def fit(folder: Path, watch: Watch, *, save_every: int, resume: bool, seed=0, **data) -> dict:
    seed_everything(seed)
    stage = tiny_stage(optimizer=MuonAdamW)
    module = TinyData(stage.processor, number=13, batch_size=4, shuffle_seed=0, **data)
    kept = folder.parent / "checkpoints"
    keep = ModelCheckpoint(kept, every_n_train_steps=save_every, save_top_k=-1, filename="last")
    trainer = tiny_trainer(
        folder, max_steps=STEPS, max_epochs=-1, callbacks=[keep, watch], enable_checkpointing=True
    )
    last = kept / "last.ckpt" if resume else None
    trainer.fit(stage, module, ckpt_path=last, weights_only=True)
    return load_file(folder / "weights.safetensors")


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize(
    ("saved", "data"),
    [
        *((saved, {}) for saved in (1, 3, 4, 5, 8)),  # an epoch has four batches
        *((saved, {"max_batch_tokens": 40}) for saved in range(1, STEPS)),
        (5, {"num_workers": 1}),
    ],
)
def test_a_killed_run_ends_as_an_uninterrupted_one(saved, data, tmp_path):
    whole = Watch()
    expected = fit(tmp_path / "a" / "run", whole, save_every=100, resume=False, **data)
    first, second = Watch(kill_after=min(saved + 1, 2 * saved - 1, STEPS - 1)), Watch()
    with pytest.raises(Killed):
        fit(tmp_path / "b" / "run", first, save_every=saved, resume=False, **data)
    weights = fit(tmp_path / "b" / "run", second, save_every=saved, resume=True, seed=3, **data)
    assert second.seen == whole.seen[saved:]
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, weights[name]), name


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_run_killed_after_its_last_step_leaves_its_weights(tmp_path):
    expected = fit(tmp_path / "run", Watch(), save_every=STEPS, resume=False)
    (tmp_path / "run" / "weights.safetensors").unlink()
    weights = fit(tmp_path / "run", Watch(kill_after=0), save_every=STEPS, resume=True, seed=3)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in expected.items())


def test_a_resumed_run_drops_what_an_uninterrupted_one_drops(tmp_path):
    expected = fit(tmp_path / "a" / "run", Dropping(), save_every=100, resume=False)
    with pytest.raises(Killed):
        fit(tmp_path / "b" / "run", Dropping(5), save_every=3, resume=False)
    weights = fit(tmp_path / "b" / "run", Dropping(), save_every=3, resume=True)
    whole = fit(tmp_path / "c" / "run", Watch(), save_every=100, resume=False)
    for name in ("language.model.model.norm.weight", "projector.layers.0.weight"):
        assert torch.equal(weights[name], expected[name])
        assert not torch.equal(whole[name], expected[name]), "something is dropped"


def test_epochs_differ_and_each_holds_every_row(tmp_path):
    watch = Watch()
    fit(tmp_path / "run", watch, save_every=100, resume=False)
    epochs = [watch.seen[0:4], watch.seen[4:8]]
    assert epochs[0] != epochs[1]
    rows = [sorted(str(row).replace(", 0", "") for batch in e for row in batch) for e in epochs]
    assert rows[0] == rows[1]
