"""All observers together: they change no number, and need neither a logger nor a full run."""

from typing import Any

import jsonargparse
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_runs import events, fit

import callbacks
from callbacks import (
    CategoryMetrics,
    HyperParameters,
    LossCurve,
    PartsReport,
    PredictionWriter,
    SamplePanel,
    Throughput,
)

ALL = (
    CategoryMetrics,
    HyperParameters,
    LossCurve,
    PartsReport,
    PredictionWriter,
    SamplePanel,
    Throughput,
)
FILES = {"curve.json", "parts.json", "throughput.json"}


class Recorder(Callback):
    """Keeps the loss of every batch."""

    def __init__(self) -> None:
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs: Any, batch, batch_idx):
        self.losses.append(outputs["loss"].clone())


def observers() -> list[Callback]:
    return [kind() for kind in ALL]


def test_removing_all_observers_changes_no_number(tmp_path):
    with_all, with_none = Recorder(), Recorder()
    _, observed = fit([*observers(), with_all], tmp_path / "observed")
    _, alone = fit([with_none], tmp_path / "alone")
    assert len(with_all.losses) == 4
    assert torch.equal(torch.stack(with_all.losses), torch.stack(with_none.losses))
    other = alone.state_dict()
    assert observed.state_dict().keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in observed.state_dict().items())
    written = {path.name for path in (tmp_path / "observed").iterdir()}
    assert written >= FILES
    assert not {path.name for path in (tmp_path / "alone").iterdir()} & FILES


def test_observers_need_no_logger(tmp_path):
    fit(observers(), tmp_path, logs=False)
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "weights.safetensors"}


@pytest.mark.filterwarnings("ignore:Running in `fast_dev_run` mode")
def test_observers_survive_a_fast_development_run(tmp_path):
    trainer, _ = fit(observers(), tmp_path, fast_dev_run=True)
    assert trainer.global_step == 1
    assert {path.name for path in tmp_path.iterdir()} >= FILES


@pytest.mark.parametrize("kind", ALL)
def test_yaml_names_observers_by_class_path(kind):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--callbacks", type=list[Callback])
    name = f"callbacks.{kind.__name__}"
    parsed = parser.parse_object({"callbacks": [{"class_path": name}]})
    assert type(parser.instantiate(parsed).callbacks[0]) is kind
    assert getattr(callbacks, kind.__name__) is kind


def test_tensorboard_gets_every_kind_of_view(tmp_path):
    fit(observers(), tmp_path)
    log = events(tmp_path)
    tags = log.Tags()
    assert tags["images"] == ["samples"]
    assert {"samples/text_summary", "parts/text_summary"} <= set(tags["tensors"])
    scalars = set(log.Tags()["scalars"])
    assert {"val/short_answer/count/score", "val/short_answer/group/vision/score"} <= scalars
    assert "train/loss_mean" in scalars
