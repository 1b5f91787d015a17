"""The bar of a run: how far it is, and losses that are not asked for after every batch."""

import io

import pytest
from rich.console import Console
from tiny import TinyData, tiny_stage, tiny_trainer

from mmlite.training import progress
from mmlite.training.progress import RunProgress


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_bar_ends_with_the_last_loss_and_asks_for_others_seldom(monkeypatch, tmp_path, seconds):
    asked = []
    metrics = progress._metrics

    def recorded(trainer) -> str:
        asked.append(trainer.global_step)
        return metrics(trainer)

    monkeypatch.setattr(progress, "_metrics", recorded)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_NUMBERS", seconds)
    shown, bar = io.StringIO(), RunProgress()
    bar.console = Console(file=shown, force_terminal=True, width=120)
    stage = tiny_stage(decoding=None)
    trainer = tiny_trainer(tmp_path, max_steps=6, callbacks=[bar], enable_progress_bar=True)
    trainer.fit(stage, TinyData(stage.processor, number=24, batch_size=4))
    last = float(trainer.callback_metrics["train/loss"])
    told = shown.getvalue()
    assert f"train/loss {last:.3f}" in told
    assert "6/6" in told
    assert asked == ([1, 2, 3, 4, 5, 6] if seconds == 0 else [1, 6])
    assert bar.told == ""  # another run of this bar begins with none


def test_lines_are_written_before_the_first_of_accumulated_steps(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    stage = tiny_stage(decoding=None)
    bar = RunProgress()
    trainer = tiny_trainer(
        tmp_path,
        max_steps=2,
        accumulate_grad_batches=2,
        callbacks=[bar],
        enable_progress_bar=True,
    )
    with caplog.at_level("INFO", logger=progress.__name__):
        trainer.fit(stage, TinyData(stage.processor, number=16, batch_size=4))
    told = [record.getMessage() for record in caplog.records if "train " in record.getMessage()]
    assert told[0].startswith("train 0/2  train/loss")
    assert told[1].startswith("train 1/2, ")
    assert "0 s left" in told[-1]
