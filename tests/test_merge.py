"""Merging a run: what is written says the same, and is refused where it would not."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# Parts of the models built here are known to be there.

import json
from pathlib import Path

import pytest
import torch
import yaml
from interop.made_runs import FIXED, QWEN, make_run
from safetensors.torch import load_file

import mmlite.merge
from mmlite.cli.main import main
from mmlite.merge import merge_run
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.models.quantization import compute_in_float32
from mmlite.runs import load_run
from mmlite.stages.handover import take_part
from mmlite.stages.merging import relative_difference, sample_logits

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
FORMS = {
    "lora": {"rank": 2},
    "qlora": {"rank": 2, "quantize": {"compute_dtype": "float32"}},
    "stored": {
        "rank": 2,
        "quantize": {"compute_dtype": "float32", "storage_dtype": "bfloat16"},
    },
}


def train_micro(folder, given):
    """Train the smallest language model of the micro-world for a few steps."""
    files = ["base.yaml", "micro/language.yaml", "micro/sizes/a.yaml"]
    command = [item for name in files for item in ("-c", str(EXPERIMENTS / name))]
    command += ["--trainer.max_steps", "3", "--trainer.enable_checkpointing", "false"]
    command += ["--trainer.limit_val_batches", "0", "--trainer.callbacks", "[]"]
    command += ["--trainer.logger", "false", "--trainer.enable_progress_bar", "false"]
    command += ["--model.init_args.optimizer.init_args.lr", "0.1"]
    assert main(["fit", *command, "--run", str(folder), *given]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A language model, and by form a run with an adapter on it."""
    folder = tmp_path_factory.mktemp("runs")
    train_micro(folder / "base", [])
    given = ["--model.init_args.init_from.language", str(folder / "base")]
    for name, form in FORMS.items():
        adapters = ["--model.init_args.adapters", json.dumps({"language": form})]
        train_micro(folder / name, [*given, *adapters])
    return folder


def logits(folder):
    stage = load_run(folder)
    compute_in_float32(stage)
    return sample_logits(stage.built, stage.processor)


@pytest.mark.parametrize("name", FORMS)
def test_a_merged_run_says_what_the_run_said(name, runs, tmp_path, capsys):
    out = tmp_path / "merged"
    assert main(["merge", str(runs / name), "--out", str(out)]) == 0
    assert relative_difference(logits(runs / name), logits(out)) < 1e-5
    assert relative_difference(logits(runs / "base"), logits(out)) > 1e-3
    assert not any("lora" in key for key in load_file(out / "weights.safetensors"))
    assert (
        yaml.safe_load((out / "config.yaml").read_text())["model"]["init_args"]["adapters"] is None
    )
    record = json.loads((out / "merge.json").read_text())
    assert record["difference"] < record["tolerance"] == 1e-4
    assert record["parts"] == {"language": "float32"}


def test_a_frozen_part_of_random_numbers_goes_along(tmp_path):
    learns = {"trainable": ["projector", "language"], "adapters": {"language": {"rank": 2}}}
    run = make_run(tmp_path / "runs" / "one", image=FIXED, chat=QWEN, **learns)
    merge_run(run, tmp_path / "merged")
    one, again, merged = (
        weights_fingerprint(load_run(folder).parts["vision"])
        for folder in (run, run, tmp_path / "merged")
    )
    assert one == again == merged


def test_a_merged_run_can_be_started_from(runs, tmp_path):
    out = tmp_path / "merged"
    merge_run(runs / "lora", out)
    train_micro(tmp_path / "next", ["--model.init_args.init_from.language", str(out)])


def test_a_checkpoint_with_an_adapter_is_merged_before_it_is_started_from(runs, tmp_path):
    checkpoint = runs / "lora" / "last.ckpt"
    torch.save({"state_dict": load_run(runs / "lora").state_dict()}, checkpoint)
    plain = load_run(runs / "base").parts["language"]
    with pytest.raises(ValueError, match=r"last.ckpt, in which the part has an adapter, .*merge C"):
        take_part(plain, "language", checkpoint)
    merge_run(checkpoint, tmp_path / "merged")
    assert relative_difference(logits(runs / "lora"), logits(tmp_path / "merged")) < 1e-5


def test_nothing_is_left_where_logits_differ(runs, tmp_path, monkeypatch):
    def wrong(part, dtype):
        honest(part, dtype)
        next(p for n, p in part.named_parameters() if "up_proj" in n).data += 0.5

    honest = mmlite.merge.merge_adapter
    monkeypatch.setattr("mmlite.merge.merge_adapter", wrong)
    with pytest.raises(ValueError, match=r"got logits that differ by .* allowed: 0.0001; nothing"):
        merge_run(runs / "lora", tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_were_stored_wrongly_are_noticed(runs, tmp_path, monkeypatch):
    def wrong(weights, path):
        honest({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, path)

    honest = mmlite.merge.save_weights
    monkeypatch.setattr("mmlite.merge.save_weights", wrong)
    with pytest.raises(ValueError, match="got logits that differ"):
        merge_run(runs / "lora", tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_tolerance_can_be_set(runs, tmp_path):
    with pytest.raises(ValueError, match="allowed: 1e-12"):
        merge_run(runs / "qlora", tmp_path / "merged", tolerance=1e-12)


def test_runs_without_adapters_and_taken_folders_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="has no adapters, allowed: a run with adapters"):
        merge_run(runs / "base", tmp_path / "merged")
    with pytest.raises(ValueError, match="which exists, allowed: a new folder"):
        merge_run(runs / "lora", tmp_path)


def test_the_command_tells_what_is_missing(capsys):
    assert main(["merge", "runs/x"]) == 2
    assert "out" in capsys.readouterr().err
