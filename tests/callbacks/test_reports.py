"""Parts, hyperparameters and predictions."""

import json

import pytest
from lightning import LightningModule, Trainer
from tensorboard.plugins.hparams.metadata import (
    parse_experiment_plugin_data,
    parse_session_end_info_plugin_data,
    parse_session_start_info_plugin_data,
)
from tiny_runs import events, fit, tiny_run

from callbacks import HyperParameters, PartsReport, PredictionWriter
from mmlite.models.language import LanguageModel, count_non_embedding
from mmlite.predictions import read_predictions


def test_parts_are_in_tensorboard_and_in_a_file(tmp_path):
    _, stage = fit([PartsReport()], tmp_path)
    rows = {row["part"]: row for row in json.loads((tmp_path / "parts.json").read_text())}
    assert rows["vision"]["trainable"] == 0
    assert rows["language"]["trainable"] == rows["language"]["parameters"] > 0
    assert rows["projector"]["parameters"] == sum(
        p.numel() for p in stage.parts["projector"].parameters()
    )
    event = events(tmp_path).Tensors("parts/text_summary")[0]
    lines = event.tensor_proto.string_val[0].decode().splitlines()
    assert [line.split("|")[1].strip() for line in lines] == [
        *("part", "---", "vision", "projector", "language", "all")
    ]


def plugin_content(folder, kind):
    return events(folder).SummaryMetadata(f"_hparams_/session_{kind}_info").plugin_data.content


def test_a_run_is_one_line_of_the_hparams_tab(tmp_path):
    _, stage = fit([HyperParameters()], tmp_path)
    language = stage.parts["language"]
    assert isinstance(language, LanguageModel)
    start = parse_session_start_info_plugin_data(plugin_content(tmp_path, "start"))
    values = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert values == {
        "stage": "ExtractionTuning",
        "seed": 3,
        "max_steps": 4,
        "batch_size": 4,
        "trainable": "projector, language",
        "trainable_parameters": sum(row.trainable for row in stage.part_rows),
        "language_parameters": count_non_embedding(language),
        "lr/vision": 0,
        "lr/projector": pytest.approx(0.1),
        "lr/language": pytest.approx(0.1),
    }
    columns = parse_experiment_plugin_data(
        events(tmp_path).SummaryMetadata("_hparams_/experiment").plugin_data.content
    )
    metrics = [column.name.tag for column in columns.metric_infos]
    assert metrics[:2] == ["train/loss_mean", "val/loss"]
    assert metrics.count("val/score") == 1
    assert {column.name for column in columns.hparam_infos} == set(values)
    end = parse_session_end_info_plugin_data(plugin_content(tmp_path, "end"))
    assert end.status == 1  # success


def test_predictions_are_written_by_stage(tmp_path):
    trainer, stage, data = tiny_run([PredictionWriter()], tmp_path, logs=False)
    trainer.predict(stage, data, return_predictions=False)
    found = read_predictions(tmp_path / "predictions" / "extraction_tuning.jsonl")
    assert sorted(prediction.id for prediction in found) == [f"q{row}" for row in range(9)]
    assert all(prediction.gold for prediction in found)


@pytest.mark.parametrize("outputs", [None, ["text"], {"answered": []}])
def test_a_stage_must_predict_predictions(outputs):
    writer = PredictionWriter()
    trainer, module = Trainer.__new__(Trainer), LightningModule()
    with pytest.raises(ValueError, match=r"LightningModule.predict_step: got \w+, allowed: a list"):
        writer.on_predict_batch_end(trainer, module, outputs, None, 0)
