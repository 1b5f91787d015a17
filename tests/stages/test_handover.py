"""Handing weights over: by part, whole, and with every mismatch named."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# Parts of the models built here are known to be there.

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_anyres, tiny_examples, tiny_processor, tiny_stage

from mmlite.features import FeatureCache
from mmlite.models import LinearProjector
from mmlite.stages.weights import WEIGHTS_FILE, full_state, load_part, save_weights


def built(**arguments):
    stage = tiny_stage(**arguments)
    stage.configure_model()
    return stage


@pytest.fixture
def run(tmp_path):
    """The folder of a run that trained projector and language model."""
    torch.manual_seed(0)
    folder = tmp_path / "run"
    built().save(folder / WEIGHTS_FILE)
    return folder


def test_weights_hold_each_part_that_is_nowhere_else_once(run):
    names = load_file(run / WEIGHTS_FILE).keys()
    assert {name.split(".")[0] for name in names} == {"vision", "projector", "language"}
    assert "language.model.model.embed_tokens.weight" in names
    assert "language.model.lm_head.weight" not in names  # tied to the table


def test_frozen_parts_that_are_elsewhere_are_left_out(run, tmp_path):
    taken = built(init_from={"vision": str(run)})
    taken.save(tmp_path / WEIGHTS_FILE)
    names = load_file(tmp_path / WEIGHTS_FILE).keys()
    assert {name.split(".")[0] for name in names} == {"projector", "language"}
    published = built()
    published.parts["vision"].is_published = True
    published.save(tmp_path / WEIGHTS_FILE)
    names = load_file(tmp_path / WEIGHTS_FILE).keys()
    assert {name.split(".")[0] for name in names} == {"projector", "language"}


def test_a_restored_encoder_has_the_features_it_had(tmp_path):
    written, read = (FeatureCache(str(tmp_path / "features")) for _ in range(2))
    first, second = (built(processor=tiny_processor(features=cache)) for cache in (written, read))
    first.save(tmp_path / WEIGHTS_FILE)
    batch = first.processor.collate([first.processor.encode_example(tiny_examples(1)[0])])
    first.with_features(batch)
    written.flush()
    second.restore(tmp_path)
    (key,) = batch.pixel_keys
    assert read.get(key) is not None


def test_tied_weights_stay_tied_when_loaded(run):
    stage = built(init_from={"language": str(run)})
    language = stage.parts["language"]
    assert language.model.lm_head.weight is language.model.model.embed_tokens.weight
    found = load_file(run / WEIGHTS_FILE)["language.model.model.embed_tokens.weight"]
    assert torch.equal(language.model.lm_head.weight, found)


def test_missing_and_unexpected_names_are_refused(run):
    weights = load_file(run / WEIGHTS_FILE)
    weights["projector.extra"] = torch.zeros(1)
    file = run / "edited.safetensors"
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"edited.safetensors, which has 1 weights .* as extra"):
        built(init_from={"projector": str(file)})
    del weights["projector.layers.3.bias"]
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"edited.safetensors, which lacks 1 .* as layers.3.bias"):
        built(init_from={"projector": str(file)})


def test_a_run_at_a_fixed_resolution_hands_over_to_one_on_tiles(run, caplog):
    with caplog.at_level(logging.WARNING):
        built(processor=tiny_anyres(), init_from={"projector": str(run)})
    assert f"{run} has no image_newline: a new one is learnt" in caplog.text


def test_whole_parts_are_loaded_without_a_warning(run, caplog):
    with caplog.at_level(logging.WARNING):
        built(init_from={"projector": str(run), "language": str(run)})
    assert not [record for record in caplog.records if "init_from" in record.msg]


def test_another_shape_is_named(run):
    other = LinearProjector(12, 16)
    other.layer = torch.nn.Linear(12, 3)
    torch.manual_seed(0)
    file = run / "linear.safetensors"
    save_file({f"projector.{n}": t for n, t in other.state_dict().items()}, file)
    with pytest.raises(ValueError, match=r"does not fit: .*layer\.weight is \(3, 12\) in the file"):
        load_part(LinearProjector(12, 16), "projector", file)


def test_a_torn_file_is_named(run):
    (run / WEIGHTS_FILE).write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"init_from: .*weights\.safetensors cannot be read"):
        built(init_from={"language": str(run)})


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"allowed: a run's folder with weights\.safetensors"):
        built(init_from={"language": str(tmp_path)})


@pytest.mark.parametrize("key", ["lr_scale", "init_from", "trainable"])
def test_every_wrong_part_name_is_listed(key):
    value = {
        "lr_scale": {"vison": 1.0, "head": 1.0},
        "init_from": {"vison": "run", "head": "run"},
        "trainable": ["head", "vison"],
    }[key]
    message = rf"{key}: got \['head', 'vison'\], allowed: vision, projector, language"
    with pytest.raises(ValueError, match=message):
        built(**{key: value})


def test_weights_are_replaced_whole_or_not_at_all(run, monkeypatch):
    before = (run / WEIGHTS_FILE).read_bytes()

    def torn(tensors, path):
        path.write_bytes(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr("mmlite.stages.weights.save_file", torn)
    with pytest.raises(OSError, match="disk full"):
        save_weights({"projector.a": torch.zeros(1)}, run / WEIGHTS_FILE)
    assert (run / WEIGHTS_FILE).read_bytes() == before


def test_views_are_saved_as_they_look(tmp_path):
    table = torch.arange(6.0).reshape(2, 3)
    save_weights({"a.first": table[0], "a.turned": table.T}, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert torch.equal(found["a.first"], table[0])
    assert torch.equal(found["a.turned"], table.T)


def test_full_state_names_tied_tensors_once():
    module = torch.nn.Module()
    module.table = torch.nn.Linear(2, 2, bias=False)
    module.head = torch.nn.Linear(2, 2, bias=False)
    module.head.weight = module.table.weight
    assert list(full_state(module)) == ["table.weight"]
