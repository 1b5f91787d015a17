"""Throughput: totals, rates and what counts as time."""

import json
import time

import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from tiny import tiny_anyres, tiny_examples, tiny_stage
from tiny_runs import KeepFirst, events, fit, tiny_run

from callbacks import Throughput
from callbacks.seen import Seen, over_processes
from mmlite.batch import IGNORE_INDEX


class Count(Callback):
    """Counts what it is shown, row by row."""

    def __init__(self):
        self.rows = self.images = self.learnt = self.tokens = self.padded = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        for example, labels, mask in zip(
            batch.examples, batch.labels.tolist(), batch.attention_mask.tolist(), strict=True
        ):
            self.rows += 1
            self.images += len(example.images)
            self.learnt += sum(label != IGNORE_INDEX for label in labels)
            self.tokens += sum(mask)
            self.padded += len(mask)


def written(folder):
    return json.loads((folder / "throughput.json").read_text())


def test_totals_are_those_of_the_whole_run(tmp_path):
    count, throughput = Count(), Throughput(warmup_steps=2)
    fit([throughput, count], tmp_path)
    file = written(tmp_path)
    expected = {
        "steps": 4,
        "images": count.images,
        "sequences": count.rows,
        "rows": count.rows,
        "supervised_tokens": count.learnt,
        "all_tokens": count.tokens,
        "padded_tokens": count.padded,
    }
    assert {name: file[name] for name in expected} == expected
    assert 0 < count.images < count.rows
    assert throughput.total.padded_tokens == count.padded
    assert file["seconds"] == throughput.total.seconds > throughput.warm.seconds > 0
    assert throughput.warm.steps == 2
    assert file["peak_memory_mb"] > 50


def test_accumulated_batches_are_one_step(tmp_path):
    fit([Throughput()], tmp_path, accumulate_grad_batches=2, max_steps=3, val_check_interval=None)
    assert (written(tmp_path)["steps"], written(tmp_path)["sequences"]) == (3, 24)


def test_warm_up_steps_are_not_in_the_rates(tmp_path):
    fit([Throughput(warmup_steps=2)], tmp_path)
    rates = events(tmp_path).Scalars("throughput/supervised_tokens_per_second")
    assert [event.step for event in rates] == [3, 4]
    assert "tokens_per_second" in written(tmp_path)
    fit([Throughput(warmup_steps=4)], tmp_path / "short", logs=False)
    assert "tokens_per_second" not in written(tmp_path / "short")


class Slow(Callback):
    """Takes its time where training waits for data, or where it does something else."""

    def __init__(self, hook):
        setattr(self, hook, lambda *arguments: time.sleep(0.2))


@pytest.mark.parametrize(
    ("hook", "waits"), [("on_train_batch_end", True), ("on_validation_end", False)]
)
def test_only_the_time_between_steps_is_waiting(hook, waits, tmp_path):
    throughput = Throughput(warmup_steps=0)
    fit([throughput, Slow(hook)], tmp_path, logs=False)
    assert (throughput.total.waiting_seconds > 0.3) == waits
    assert (throughput.total.waiting_seconds < 0.2) != waits
    assert throughput.total.seconds > throughput.total.waiting_seconds


def test_a_resumed_run_goes_on_counting(tmp_path):
    keep = KeepFirst(tmp_path / "kept.ckpt")
    fit([Throughput(), keep], tmp_path / "whole")
    trainer, stage, data = tiny_run([Throughput()], tmp_path / "resumed")
    trainer.fit(stage, data, ckpt_path=tmp_path / "kept.ckpt", weights_only=True)
    whole, resumed = written(tmp_path / "whole"), written(tmp_path / "resumed")
    for name in ("steps", "images", "sequences", "supervised_tokens", "all_tokens"):
        assert resumed[name] == whole[name] > 0


def test_an_image_of_several_tiles_is_one_image():
    processor = tiny_anyres()
    batch = processor.collate([processor.encode_example(example) for example in tiny_examples(5)])
    throughput, trainer = Throughput(), Trainer(logger=False, enable_checkpointing=False)
    throughput.on_train_batch_end(trainer, tiny_stage(processor=processor), None, batch, 0)
    assert throughput.total.images == 4 < len(batch.tile_order)


def test_rates():
    rates = Seen(2, 3, 4, 50, 75, 100, seconds=5, waiting_seconds=1, rows=2).rates()
    assert rates == {
        "supervised_tokens_per_second": 10,
        "tokens_per_second": 15,
        "examples_per_second": 0.8,
        "steps_per_second": 0.4,
        "padding_share": 0.25,
        "packing_efficiency": 0.75,
        "examples_per_row": 2,
        "data_wait_share": 0.2,
    }


def test_processes_share_steps_and_time(monkeypatch):
    monkeypatch.setattr("callbacks.seen.gathered", lambda own: [own, own, own])
    total = over_processes(Seen(2, 3, 4, 50, 75, 100, seconds=5, waiting_seconds=1))
    assert total == Seen(2, 9, 12, 150, 225, 300, seconds=5, waiting_seconds=1)


def test_a_warm_up_is_no_negative_number():
    with pytest.raises(ValueError, match=r"Throughput.warmup_steps: got -1, allowed: 0 or more"):
        Throughput(warmup_steps=-1)
