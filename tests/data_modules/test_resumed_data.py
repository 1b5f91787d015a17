"""A run that counts epochs is resumed within one, though Lightning drops its loader's state."""

import pytest
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import tiny_examples, tiny_stage, tiny_trainer

from data_modules import Mixed, TextData
from data_modules.batching import BatchBudget
from data_modules.sources import Source


class Examples(Source):
    name = "examples"

    def rows(self, split):
        return [(example,) for example in tiny_examples(17)]


class Killed(Exception):
    """Stands for the signal that ends a process."""


class Watch(Callback):
    def __init__(self, kill_after: int | None = None) -> None:
        self.seen: list[list[list[int]]] = []
        self.kill_after = kill_after

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if len(self.seen) == self.kill_after:
            raise Killed
        self.seen.append(batch.input_ids.tolist())


def fit(folder, watch: Watch, *, saved: int, resume: bool) -> None:
    stage = tiny_stage()
    data = TextData(stage.processor, train=[Mixed(Examples())], budget=BatchBudget(4), seed=1)
    keep = ModelCheckpoint(
        folder / "kept", filename="last", every_n_train_steps=saved, save_top_k=-1
    )
    # Without max_steps the stage asks Lightning how many steps there are, which makes the loader
    # before its state is restored.
    trainer = tiny_trainer(folder, max_epochs=3, callbacks=[keep, watch], enable_checkpointing=True)
    path = folder / "kept" / "last.ckpt" if resume else None
    trainer.fit(stage, data, ckpt_path=path, weights_only=True)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("saved", [3, 5, 7, 10])  # an epoch has five batches
def test_epochs_are_resumed_in_their_middle(saved, tmp_path):
    whole, first, second = Watch(), Watch(kill_after=min(saved + 1, 2 * saved - 1)), Watch()
    fit(tmp_path / "whole", whole, saved=100, resume=False)
    with pytest.raises(Killed):
        fit(tmp_path / "run", first, saved=saved, resume=False)
    fit(tmp_path / "run", second, saved=saved, resume=True)
    assert len(whole.seen) == 15
    assert second.seen == whole.seen[saved:]
