"""A run whose numbers are none any more stops, and leaves nothing that others would take."""

import pytest
import torch
from tiny import TinyData, tiny_stage, tiny_trainer
from torch.optim import SGD

from mmlite.stages.leaving import check_finite, lost_weights


@pytest.mark.parametrize(
    ("every", "told"),
    [
        (1, r"train/loss: got (nan|inf) at step \d, allowed: a number"),
        (100, "the run ends with inf"),
    ],
)
def test_a_run_that_diverges_stops_and_leaves_no_weights(every, told, tmp_path):
    stage = tiny_stage(optimizer=lambda groups: SGD(groups, lr=1e30))
    data = TinyData(stage.processor, number=8, batch_size=4)
    trainer = tiny_trainer(tmp_path, max_steps=6, max_epochs=-1, log_every_n_steps=every)
    with pytest.raises(ValueError, match=told):
        trainer.fit(stage, data)
    assert not (tmp_path / "weights.safetensors").exists()


def test_weights_that_are_no_numbers_are_named():
    weights = {
        "a": torch.ones(2),
        "b": torch.tensor([1.0, float("nan")]),
        "c": torch.ones(1).byte(),
    }
    assert lost_weights(weights) == ["b"]
    with pytest.raises(ValueError, match="in 1 of 3 weights, such as b, and leaves none"):
        check_finite(["b"], 3)
    check_finite([], 3)
