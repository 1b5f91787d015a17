"""Lightning's averaging of weights: by the command line, and where it is refused."""

import copy

import pytest
import torch
from cli.commands import BASE, EXPERIMENTS
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from safetensors.torch import load_file
from tiny import TinyData, tiny_stage, tiny_trainer

from mmlite.cli.main import main
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization

EMA = "lightning.pytorch.callbacks.EMAWeightAveraging"


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")
def test_a_run_leaves_its_averaged_weights(tmp_path):
    files = [
        BASE,
        *(str(EXPERIMENTS / "micro" / name) for name in ("language.yaml", "sizes/a.yaml")),
    ]
    composed = [part for file in files for part in ("-c", file)]
    short = ["--trainer.max_steps", "3", "--trainer.limit_val_batches", "0"]
    averaging = [f"--trainer.callbacks+={EMA}", "--trainer.callbacks.decay", "0.5"]
    left = {}
    for name, more in (("plain", []), ("averaged", averaging)):
        folder = tmp_path / name
        assert main(["fit", *composed, *short, *more, "--run", str(folder)]) == 0
        left[name] = load_file(folder / "weights.safetensors")
    assert left["plain"].keys() == left["averaged"].keys()
    assert any(not torch.equal(t, left["averaged"][n]) for n, t in left["plain"].items())


def test_a_copy_shares_what_makes_a_stage_and_has_weights_of_its_own():
    stage = tiny_stage()
    stage.configure_model()
    other = copy.deepcopy(stage)
    assert other.processor is stage.processor
    assert other.language is stage.language
    pairs = list(zip(stage.parameters(), other.parameters(), strict=True))
    assert pairs
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)


def test_what_cannot_be_averaged_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(find_free_network_port()))
    quantized = {"language": Adapter(rank=2, quantize=Quantization(compute_dtype="float32"))}
    sharded = ModelParallelStrategy(1, 1, process_group_backend="gloo")
    for told, adapters, trainer in (
        ("got EMAWeightAveraging with 4-bit weights", quantized, {}),
        ("got EMAWeightAveraging with a sharding strategy", None, {"strategy": sharded}),
    ):
        stage = tiny_stage(adapters=adapters)
        data = TinyData(stage.processor, number=8, batch_size=4)
        made = tiny_trainer(tmp_path, max_steps=2, callbacks=[EMAWeightAveraging()], **trainer)
        with pytest.raises(ValueError, match=told):
            made.fit(stage, data)
