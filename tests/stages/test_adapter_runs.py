"""Runs with adapters: what changes, what is written, how it is handed over, resumed and merged."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false
# Layers of the models built here are known to be there.

import copy
import json

import pytest
import torch
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from tiny import TinyData, seeded_language, tiny_examples, tiny_processor, tiny_stage, tiny_trainer

from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.stages.adapter_files import find_adapter
from mmlite.stages.adapters import are_equal
from mmlite.stages.merging import relative_difference, sample_logits

EXACT = Quantization(compute_dtype="float32")
LORA = Adapter(rank=4)
QLORA = Adapter(rank=4, quantize=EXACT)
BOTH = pytest.mark.parametrize("adapter", [LORA, QLORA], ids=["lora", "qlora"])


class Killed(Exception):
    """Stands for the signal that ends a process."""


class Kill(Callback):
    """Ends a run in its fourth step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 3:
            raise Killed


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run that trained all there is to hand over."""
    folder = tmp_path_factory.mktemp("base")
    seed_everything(0)
    fit(tiny_stage(trainable=["vision", "projector", "language"]), folder, steps=1)
    return folder


def fit(stage, folder, *, steps=4, resume=None, **trainer):
    data = TinyData(stage.processor, number=24, batch_size=8)
    given = {"max_steps": steps, "limit_val_batches": 1, "val_check_interval": 2, **trainer}
    tiny_trainer(folder, **given).fit(stage, data, ckpt_path=resume, weights_only=True)
    return stage


def started(base, adapter, *, seed=1, **arguments):
    """A stage that starts from the base with an adapter on the language model."""
    seed_everything(seed)
    arguments.setdefault("init_from", dict.fromkeys(["vision", "projector", "language"], str(base)))
    if adapter is not None:
        arguments.setdefault("adapters", {"language": adapter})
    stage = tiny_stage(decoding=None, **arguments)
    stage.configure_model()
    return stage


def frozen(stage):
    """Bytes of all that must not change: packed weights and their scales too."""
    state = stage.parts["language"].state_dict()
    return {name: tensor.clone() for name, tensor in state.items() if ".lora_" not in name}


def logits(stage):
    return sample_logits(stage.built, stage.processor)


@BOTH
def test_the_base_is_bit_identical_after_training_and_validation(adapter, base, tmp_path):
    stage = started(base, adapter)
    before, first = frozen(stage), logits(stage)
    fit(stage, tmp_path)
    after = frozen(stage)
    assert after.keys() == before.keys()
    assert any("absmax" in name for name in after) == (adapter is QLORA)
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
    assert relative_difference(first, logits(stage)) > 1e-3


@BOTH
def test_validation_between_steps_changes_no_update(adapter, base, tmp_path):
    found = {}
    for name, often in {"with": 1, "without": 0}.items():
        stage = started(base, adapter)
        fit(stage, tmp_path / name, limit_val_batches=often)
        found[name] = find_adapter(tmp_path / name, "language")
    weights = [load_file(saved.folder / "adapter_model.safetensors") for saved in found.values()]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@BOTH
def test_the_adapter_is_saved_alone_beside_the_other_parts(adapter, base, tmp_path):
    fit(started(base, adapter), tmp_path)
    names = load_file(tmp_path / "weights.safetensors").keys()
    assert {name.split(".")[0] for name in names} == {"projector"}
    folder = tmp_path / "adapters" / "language"
    weights = load_file(folder / "adapter_model.safetensors")
    assert len(weights) == 28
    assert all(".lora_A." in name or ".lora_B." in name for name in weights)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 32.0)
    known = json.loads((folder / "base.json").read_text())
    assert known["init_from"] == str(base)
    assert (known["quantize"] is None) == (adapter is LORA)


# peft asks transformers for a property that transformers 5 renamed.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated")
def test_peft_loads_the_adapter_onto_the_plain_model(base, tmp_path):
    from peft import PeftModel

    stage = fit(started(base, LORA), tmp_path)
    plain = started(base, None).parts["language"].model
    loaded = PeftModel.from_pretrained(plain, tmp_path / "adapters" / "language").eval()
    ids = torch.arange(8)[None]
    found = loaded(input_ids=ids).logits
    stage.eval()
    own = stage.parts["language"].get_submodule("model")
    torch.testing.assert_close(found, own(input_ids=ids).logits)


def test_dropout_is_at_work_in_training_alone(base):
    stage = started(base, Adapter(rank=4, dropout=0.5))
    for name, parameter in stage.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    row = stage.processor.encode_example(tiny_examples(1)[0])
    batch = stage.processor.collate([row])
    stage.train()
    assert stage.loss(batch)[0] != stage.loss(batch)[0]
    stage.eval()
    assert stage.loss(batch)[0] == stage.loss(batch)[0]


@BOTH
def test_parts_report_and_optimizer_count_the_updates(adapter, base):
    stage = started(base, adapter, lr_scale={"language": 3.0})
    row = next(row for row in stage.part_rows if row.part == "language")
    plain = next(row for row in started(base, None).part_rows if row.part == "language")
    assert (
        row.trainable == row.parameters - plain.parameters == 4 * (2 * 16 * 4 + 3 * 48 * 2 + 16 * 8)
    )
    assert ("nf4" in row.dtypes) == (adapter is QLORA)


@BOTH
def test_a_later_stage_goes_on_with_the_adapter(adapter, base, tmp_path):
    first = fit(started(base, adapter), tmp_path / "first")
    folder = str(tmp_path / "first")
    from_first = {"vision": str(base), "projector": folder, "language": folder}
    second = started(base, adapter, seed=2, init_from=from_first)
    assert torch.equal(logits(second), logits(first))
    fit(second, tmp_path / "second")
    known = json.loads((tmp_path / "second/adapters/language/base.json").read_text())
    assert known["init_from"] == str(base)


@BOTH
def test_a_stage_without_adapters_starts_from_the_merged_weights(adapter, base, tmp_path):
    first = fit(started(base, adapter), tmp_path / "first")
    folder = str(tmp_path / "first")
    from_first = {"vision": str(base), "projector": folder, "language": folder}
    second = started(base, None, seed=2, init_from=from_first)
    assert relative_difference(logits(first), logits(second)) < 1e-5
    assert not any(".lora_" in name for name in second.state_dict())
    fit(second, tmp_path / "second")
    assert not (tmp_path / "second" / "adapters").exists()


def test_an_adapter_of_another_form_is_refused(base, tmp_path):
    fit(started(base, LORA), tmp_path)
    other = Adapter(rank=8, quantize=EXACT)
    with pytest.raises(ValueError, match=r"got rank 8, quantize .*allowed: .*rank 4.*mmlite merge"):
        started(base, other, init_from={"language": str(tmp_path)})


def test_another_base_is_refused(base, tmp_path):
    fit(started(base, LORA), tmp_path / "run")
    seed_everything(5)
    fit(tiny_stage(), tmp_path / "other", steps=1)
    file = tmp_path / "run/adapters/language/base.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "init_from": str(tmp_path / "other")}))
    for adapter in (LORA, None):
        with pytest.raises(ValueError, match="was trained on other weights of language than these"):
            started(base, adapter, init_from={"language": str(tmp_path / "run")})


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
@BOTH
def test_a_killed_run_goes_on_as_if_it_had_not_been(adapter, base, tmp_path):
    whole = fit(started(base, adapter), tmp_path / "whole", steps=6)
    keep = ModelCheckpoint(tmp_path / "kept", filename="last", every_n_train_steps=2)
    given = {"callbacks": [keep, Kill()], "enable_checkpointing": True}
    with pytest.raises(Killed):
        fit(started(base, adapter), tmp_path / "half", steps=6, **given)
    last = tmp_path / "kept" / "last.ckpt"
    names = torch.load(last, weights_only=True)["state_dict"].keys()
    assert any("base_layer" in name for name in names) == (adapter is LORA)
    resumed = fit(started(base, adapter, seed=7), tmp_path / "half", steps=6, resume=last)
    assert torch.equal(logits(resumed), logits(whole))
    state = torch.load(last, weights_only=True)
    state["adapter_bases"] = {"language": "0" * 32}
    torch.save(state, last)
    with pytest.raises(ValueError, match="got a checkpoint made on other weights of language"):
        fit(started(base, adapter), tmp_path / "half", steps=6, resume=last)


def test_adapters_need_a_part_that_learns(base):
    with pytest.raises(ValueError, match=r"got \['vision'\], allowed: parts in trainable"):
        started(base, None, adapters={"vision": LORA})
    with pytest.raises(ValueError, match=r"adapters: got \['langauge'\], allowed: vision") as told:
        started(base, None, adapters={"langauge": LORA})
    assert str(told.value).count("langauge") == 1


def test_a_damaged_adapter_is_told_so(base, tmp_path):
    fit(started(base, LORA), tmp_path, steps=1)
    taken, folder = {"language": str(tmp_path)}, tmp_path / "adapters/language"
    (folder / "base.json").write_text("{}")
    with pytest.raises(ValueError, match=r"adapters/language cannot be read \(.*base.json is not"):
        started(base, None, init_from=taken)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"cannot be read .*allowed: the adapter's weights, whole"):
        started(base, None, init_from=taken)


def test_an_adapter_on_weights_that_would_be_lost_is_refused_before_training(base, tmp_path):
    given = {"adapters": {"vision": LORA, "language": LORA}, "trainable": ["vision", "language"]}
    stage = tiny_stage(init_from={"language": str(base)}, **given)
    with pytest.raises(
        ValueError, match=r"adapters: got vision, whose own weights are random .*al"
    ):
        fit(stage, tmp_path / "random")
    stage = tiny_stage(adapters={"language": LORA})
    stage.language = seeded_language  # comes out the same when it is built again
    fit(stage, tmp_path / "seeded", steps=1)
    assert find_adapter(tmp_path / "seeded", "language")


def test_packed_bits_kept_as_floats_are_not_converted(base, tmp_path):
    stored = Quantization(storage_dtype="float32")
    taken = {"language": str(base)}
    stage = tiny_stage(adapters={"language": Adapter(quantize=stored)}, init_from=taken)
    with pytest.raises(ValueError, match=r"storage_dtype: got float32 with .* bf16-true, which"):
        fit(stage, tmp_path, precision="bf16-true")


def test_adapters_of_several_parts_learn_together(base, tmp_path):
    stage = started(
        base, None, trainable=["vision", "language"], adapters={"vision": QLORA, "language": LORA}
    )
    before = copy.deepcopy(stage.state_dict())
    fit(stage, tmp_path)
    changed = {n for n, t in stage.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(".lora_" in name for name in changed)
    assert sorted(f.name for f in (tmp_path / "adapters").iterdir()) == ["language", "vision"]


def test_a_foreign_adapter_that_is_more_than_lora_is_refused(base, tmp_path):
    fit(started(base, LORA), tmp_path)
    file = tmp_path / "adapters/language/adapter_config.json"
    written = json.loads(file.read_text())
    strange = {
        "use_dora": {"use_dora": True},
        "use_rslora": {"use_rslora": True},
        "bias": {"bias": "all"},
        "init_lora_weights 'pissa'": {"init_lora_weights": "pissa"},
        "made_up": {"made_up": 1},
    }
    for named, setting in strange.items():
        file.write_text(json.dumps({**written, **setting}))
        with pytest.raises(ValueError, match=f"an adapter with {named} than low-rank updates"):
            started(base, LORA, init_from={"language": str(tmp_path)})
    plain = {"init_lora_weights": "gaussian", "peft_version": "0.1", "fan_in_fan_out": True}
    file.write_text(json.dumps({**written, **plain}))
    started(base, LORA, init_from={"language": str(tmp_path)})


def test_processor_of_the_sample_needs_no_known_words(base):
    stage = started(base, None, processor=tiny_processor(tiles=2))
    assert logits(stage).shape[-1] == stage.processor.vocabulary_size


def test_parts_are_compared_by_their_bytes():
    """A weight that is no number is as little random as any that is built the same twice."""
    one, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    other.load_state_dict(one.state_dict())
    for part in (one, other):
        part.weight.data[0, 0] = float("nan")
    assert are_equal(one, other)
    other.weight.data[2, 1] += 1
    assert not are_equal(one, other)
    assert not are_equal(one, torch.nn.Linear(2, 3, bias=False))
