"""The loss curve and the rule for its flatness."""

import json
import math
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_runs import KeepFirst, fit, tiny_run

from callbacks import LossCurve
from callbacks.curve import MIN_POINTS, MIN_STEPS, flattened


class Exact(Callback):
    """The loss of every optimizer step, counted from the labels."""

    def __init__(self, accumulate):
        self.accumulate, self.sums, self.steps = accumulate, [], []

    def on_train_batch_end(self, trainer, pl_module, outputs: Any, batch, batch_idx):
        # What Lightning hands out is divided by the accumulated batches; the stage undid that.
        self.sums.append((outputs["loss"].item(), batch.num_supervised))
        if len(self.sums) == self.accumulate:
            losses, counts = zip(*self.sums, strict=True)
            self.steps.append(sum(losses) / sum(counts))
            self.sums = []


def curve(folder):
    return json.loads((folder / "curve.json").read_text())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_point_is_the_mean_over_supervised_tokens(accumulate, tmp_path):
    exact = Exact(accumulate)
    options = {"accumulate_grad_batches": accumulate, "max_steps": 3, "val_check_interval": None}
    fit([LossCurve(), exact], tmp_path, **options)
    written = curve(tmp_path)
    assert [step for step, _ in written["points"]] == [1, 2, 3]
    assert [loss for _, loss in written["points"]] == pytest.approx(exact.steps, rel=1e-5)
    assert 1 < exact.steps[0] < 2 * math.log(18)
    assert written["flattened"] is False
    assert "10 %" in written["rule"]


def test_points_are_parts_of_the_run(tmp_path):
    fit([LossCurve(num_points=2)], tmp_path)
    assert [step for step, _ in curve(tmp_path)["points"]] == [2, 4]


def test_a_resumed_run_goes_on_with_its_curve(tmp_path):
    keep = KeepFirst(tmp_path / "kept.ckpt")
    whole = fit([LossCurve(), keep], tmp_path / "whole")
    assert whole[0].global_step == 4
    trainer, stage, data = tiny_run([LossCurve()], tmp_path / "resumed")
    trainer.fit(stage, data, ckpt_path=tmp_path / "kept.ckpt", weights_only=True)
    assert curve(tmp_path / "resumed") == curve(tmp_path / "whole")
    assert len(curve(tmp_path / "whole")["points"]) == 4


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_loss_that_is_no_number_is_written_as_null(tmp_path):
    class Spoil(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 2:
                with torch.no_grad():
                    next(pl_module.parameters()).fill_(math.nan)

    unseen = {"val_check_interval": None, "log_every_n_steps": 100}
    with pytest.raises(ValueError, match="the run ends with infinities, or no numbers"):
        fit([LossCurve(), Spoil()], tmp_path, max_steps=3, **unseen)
    assert [loss is None for _, loss in curve(tmp_path)["points"]] == [False, False, True]


def points(losses, steps_each=20):
    return [(steps_each * (n + 1), loss) for n, loss in enumerate(losses)]


def test_the_rule_for_flatness():
    falling = [2.0] * 25 + [1.0] * 20
    assert flattened(points([*falling, *[0.92] * 5]))
    assert not flattened(points([*falling, *[0.88] * 5]))
    assert not flattened(points([*falling, *[1.12] * 5]))
    # Two neighbours alike are not enough: this one goes on falling slowly.
    assert not flattened(points([2.0 * 0.98**n for n in range(50)]))
    assert not flattened(points([1.0] * (MIN_POINTS - 1)))
    assert flattened(points([1.0] * MIN_POINTS))
    assert not flattened(points([1.0] * MIN_POINTS + [math.nan]))


def test_a_run_that_has_hardly_begun_has_not_flattened():
    assert not flattened(points([4.2] * 50, steps_each=1))
    assert flattened(points([4.2] * 50, steps_each=MIN_STEPS // 50))


def test_a_curve_needs_points():
    with pytest.raises(ValueError, match=r"LossCurve.num_points: got 0, allowed: 1 or more"):
        LossCurve(num_points=0)
