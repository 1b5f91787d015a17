"""One big batch, accumulation, DDP and FSDP2 on two processes end in the same weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from interop.made_runs import FIXED, QWEN, run_config
from safetensors.torch import load_file
from tiny import tiny_stage
from train_two import run

from mmlite.cli.main import main
from mmlite.runs import CONFIG_FILE
from mmlite.stages.checkpoints import checkpoint_part
from mmlite.stages.weights import full_state

SCRIPT = Path(__file__).with_name("train_two.py")
KINDS = (
    *("ddp", "ddp_qlora", "fsdp", "fsdp_muon", "fsdp_lora", "fsdp_bf16"),
    *("fsdp_killed", "fsdp_resumed", "ddp_anyres", "fsdp_anyres"),
    *("fsdp_chunked", "fsdp_recomputed", "fsdp_packed", "fsdp_every", "ddp_every", "fsdp_composed"),
)
LAST = Path("fsdp_killed") / "checkpoints" / "last.ckpt"

pytestmark = pytest.mark.slow


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Runs of two processes; torchrun finds a free port."""
    out = tmp_path_factory.mktemp("two")
    composed = out / "fsdp_composed"
    composed.mkdir()
    config = run_config(composed, image=FIXED, chat=QWEN)
    (composed / CONFIG_FILE).write_text(yaml.safe_dump(config))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, str(SCRIPT), str(out), *KINDS],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return out


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    out = tmp_path_factory.mktemp("single")
    metrics = run("single", out)
    return weights_of(out), metrics


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapters" / "language" / "adapter_model.safetensors")


def assert_same(weights, expected, atol=2e-6):
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=atol, msg=name)


def test_accumulation_ends_in_the_weights_of_one_big_batch(single, tmp_path):
    run("accumulate", tmp_path)
    assert_same(weights_of(tmp_path), single[0])


def test_means_are_over_all_terms_however_they_are_shared_out(two):
    assert json.loads((two / "means.json").read_text()) == {"all_right": 1.0, "of_one": 0.5}


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_end_in_the_weights_of_one(kind, single, two):
    assert_same(weights_of(two / kind), single[0])


@pytest.mark.parametrize("kind", ["fsdp_chunked", "fsdp_recomputed"])
def test_switches_of_speed_and_memory_change_nothing_on_shards(kind, single, two):
    assert_same(weights_of(two / kind), single[0])
    found = json.loads((two / kind / "metrics.json").read_text())
    for name in ("train/loss", "val/loss"):
        assert found[name] == pytest.approx(single[1][name], rel=1e-4)


def test_packed_rows_train_the_same_whatever_else_is_on(single, two, tmp_path):
    """`every`: chunks of the loss, activations computed again and compiled blocks as well."""
    metrics = run("single_packed", tmp_path)
    expected = weights_of(tmp_path)
    assert any(not torch.equal(tensor, single[0][name]) for name, tensor in expected.items())
    for kind in ("fsdp_packed", "fsdp_every", "ddp_every"):
        assert_same(weights_of(two / kind), expected)
        found = json.loads((two / kind / "metrics.json").read_text())
        assert found["val/loss"] == pytest.approx(metrics["val/loss"], rel=1e-4)


def test_clipping_was_at_work(single, tmp_path):
    run("single", tmp_path, clip=None)
    unclipped = weights_of(tmp_path)
    assert max((unclipped[name] - single[0][name]).abs().max() for name in unclipped) > 1e-3


def test_muon_steps_are_the_same_on_shards(two, tmp_path):
    run("single_muon", tmp_path)
    assert_same(weights_of(two / "fsdp_muon"), weights_of(tmp_path), atol=1e-4)


def test_tiles_and_text_alone_on_one_process_train_the_weights_of_one(two, tmp_path):
    run("single_anyres", tmp_path)
    expected = weights_of(tmp_path)
    assert "projector.image_newline" in expected
    for kind in ("ddp_anyres", "fsdp_anyres"):
        assert_same(weights_of(two / kind), expected)


@pytest.mark.parametrize("kind", ["fsdp_lora", "ddp_qlora"])
def test_adapters_learn_the_same_on_two_processes(kind, two, tmp_path):
    run(kind.replace("fsdp", "single").replace("ddp", "single"), tmp_path)
    assert_same(weights_of(two / kind), weights_of(tmp_path))
    assert_same(adapter_of(two / kind), adapter_of(tmp_path))
    assert max(tensor.abs().max() for name, tensor in adapter_of(tmp_path).items() if "_B" in name)


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32(single, two, tmp_path):
    metrics = run("single_bf16", tmp_path)
    found = json.loads((two / "fsdp_bf16" / "metrics.json").read_text())
    assert (found["computed"], metrics["computed"]) == ("torch.bfloat16", "torch.float32")
    assert found["val/loss"] == pytest.approx(metrics["val/loss"], rel=2e-2)
    sharded = weights_of(two / "fsdp_bf16")
    assert {tensor.dtype for tensor in sharded.values()} == {torch.float32}
    assert_same(sharded, weights_of(tmp_path), atol=2e-2)
    exact = single[0]
    assert any(not torch.equal(sharded[name], exact[name]) for name in exact)


def test_a_sharded_run_goes_on_with_as_many_processes(single, two):
    assert_same(weights_of(two / "fsdp_resumed"), single[0])


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_sharded_run_goes_on_with_one_process(single, two, tmp_path):
    run("one_resumed", tmp_path, resume=two / LAST)
    assert_same(weights_of(tmp_path), single[0])


def test_a_sharded_checkpoint_is_read_by_one_process(two, tmp_path):
    last = two / LAST
    assert last.is_dir()
    stage = tiny_stage(init_from={"language": str(last), "projector": str(last)})
    stage.configure_model()
    # Two of three steps, so near the weights of the whole run but not there.
    found = full_state(stage.parts["language"])
    final = weights_of(two / "fsdp_resumed")
    gaps = [(tensor - final[f"language.{name}"]).abs().max() for name, tensor in found.items()]
    assert 0 < max(gaps) < 0.1
    with pytest.raises(ValueError, match="has no weights of heads, allowed: language, projector"):
        checkpoint_part(last, "heads")


def test_a_sharded_checkpoint_is_exported_by_one_process(two, tmp_path):
    last, out = two / "fsdp_composed" / "checkpoints" / "last.ckpt", tmp_path / "out"
    assert last.is_dir()
    assert main(["export", str(last), "--out", str(out)]) == 0  # compares logits and answers
    exported = load_file(out / "model.safetensors")
    (table,) = [tensor for name, tensor in exported.items() if name.endswith("embed_tokens.weight")]
    assert torch.equal(table, checkpoint_part(last, "language")["model.model.embed_tokens.weight"])


def test_a_plain_checkpoint_holds_the_same_weights(two, tmp_path):
    run("single_killed", tmp_path)
    plain, sharded = tmp_path / "checkpoints" / "last.ckpt", two / LAST
    assert plain.is_file()
    for part in ("vision", "projector", "language"):
        assert_same(checkpoint_part(sharded, part), checkpoint_part(plain, part))


@pytest.mark.parametrize("damage", ["", "half"])
def test_a_broken_checkpoint_is_named(damage, tmp_path):
    file = tmp_path / "last.ckpt"
    file.write_bytes(damage.encode())
    with pytest.raises(ValueError, match=r"init_from.language: got .*last.ckpt, which cannot be"):
        checkpoint_part(file, "language")


def test_quantised_weights_are_not_sharded(tmp_path):
    with pytest.raises(ValueError, match=r"adapters.language.quantize: got 4-bit .*strategy ddp"):
        run("one_qlora", tmp_path)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_metrics_are_weighed_over_processes(kind, single, two):
    found = json.loads((two / kind / "metrics.json").read_text())
    names = {"val/loss"} if kind == "fsdp" else {"val/loss", "val/score"}
    assert {name for name in found if name.startswith("val/")} == names
    for name in names:
        assert found[name] == pytest.approx(single[1][name], rel=1e-4), name


def test_sharded_weights_are_handed_over(two):
    folder = str(two / "fsdp")
    stage = tiny_stage(init_from=dict.fromkeys(("vision", "projector", "language"), folder))
    stage.configure_model()
    state = {f"{p}.{n}": t for p in stage.parts for n, t in full_state(stage.parts[p]).items()}
    for name, tensor in weights_of(two / "fsdp").items():
        assert torch.equal(state[name], tensor), name
