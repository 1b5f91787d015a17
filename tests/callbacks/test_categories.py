"""Accuracy by category."""

import pytest
from lightning import LightningModule, Trainer
from tiny_runs import answered, fit, tiny_run

from callbacks import CategoryMetrics
from callbacks.categories import answers_of


class Listener(LightningModule):
    def __init__(self):
        super().__init__()
        self.heard = {}

    def log_dict(self, dictionary, *arguments, **options):
        self.heard.update(dictionary)


def measured(outputs, *, split="val"):
    metrics, module, trainer = CategoryMetrics(), Listener(), Trainer.__new__(Trainer)
    metrics.on_validation_epoch_start(trainer, module)
    for output in outputs:
        metrics.on_validation_batch_end(trainer, module, output, None, 0)
    getattr(metrics, {"val": "on_validation_epoch_end", "test": "on_test_epoch_end"}[split])(
        trainer, module
    )
    return module.heard


def test_scores_and_unreadable_shares_by_category_and_group():
    rows = [answered(0), answered(3, score=0.5), answered(1, score=0.0, parsed=None), answered(2)]
    heard = measured([{"answered": rows[:1]}, {"answered": rows[1:]}])
    assert heard == {
        "val/short_answer/all/score": pytest.approx(2.5 / 4),
        "val/short_answer/all/unreadable": 0.25,
        "val/short_answer/count/score": 0.75,
        "val/short_answer/count/unreadable": 0.0,
        "val/short_answer/fact/score": 1.0,
        "val/short_answer/fact/unreadable": 0.0,
        "val/short_answer/group/language/score": 1.0,
        "val/short_answer/group/language/unreadable": 0.0,
        "val/short_answer/group/vision/score": 0.5,
        "val/short_answer/group/vision/unreadable": pytest.approx(1 / 3),
        "val/short_answer/locate/score": 0.0,
        "val/short_answer/locate/unreadable": 1.0,
    }


def test_an_example_without_category_counts_for_its_task():
    heard = measured([{"answered": [answered(0, category="", group="")]}], split="test")
    assert set(heard) == {"test/short_answer/all/score", "test/short_answer/all/unreadable"}


@pytest.mark.parametrize("outputs", [None, {}, {"answered": None}, {"answered": []}])
def test_outputs_without_answers_are_nothing(outputs):
    assert answers_of(outputs) == []
    assert measured([outputs]) == {}


def test_every_validation_counts_afresh(tmp_path):
    trainer, _ = fit([CategoryMetrics()], tmp_path)
    names = {name for name in trainer.callback_metrics if name.startswith("val/short_answer/")}
    assert len(names) == 12
    score = trainer.callback_metrics["val/short_answer/all/score"]
    assert score == pytest.approx(float(trainer.callback_metrics["val/score"]))


def test_tests_are_measured_too(tmp_path):
    trainer, stage, data = tiny_run([CategoryMetrics()], tmp_path, logs=False)
    trainer.test(stage, data, verbose=False)
    assert "test/short_answer/count/unreadable" in trainer.callback_metrics
