"""Damaged files of weights: the one that is missing or cut off is named, in one sentence."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from real_folders import save_qwen
from torch.distributed.checkpoint import state_dict_saver

from mmlite.models import PretrainedLanguageModel
from mmlite.stages.checkpoints import checkpoint_part
from mmlite.stages.weights import load_part

SHARD = "__0_0.distcp"


@pytest.fixture
def sharded(tmp_path) -> Path:
    state = {"model.language.weight": torch.arange(1000.0), "model.projector.weight": torch.ones(2)}
    state_dict_saver.save({"state_dict": state}, checkpoint_id=tmp_path / "last.ckpt", no_dist=True)
    return tmp_path / "last.ckpt"


@pytest.mark.filterwarnings("ignore:torch.distributed is")
@pytest.mark.parametrize(
    ("name", "size"), [(SHARD, 100), (SHARD, 0), (SHARD, None), (".metadata", 50), (".metadata", 0)]
)
def test_the_damaged_file_of_a_sharded_checkpoint_is_named(sharded, name, size):
    file = sharded / name
    content = file.read_bytes()
    if size is None:
        file.unlink()
    else:
        file.write_bytes(content[:size])
    place = file if name == SHARD else sharded
    with pytest.raises(ValueError, match=rf"which cannot be read \({place}: .*older") as told:
        checkpoint_part(sharded, "language")
    assert "Traceback" not in str(told.value)
    assert "\n" not in str(told.value)
    file.write_bytes(content)
    assert checkpoint_part(sharded, "language")["weight"][-1] == 999


class Pickled:
    """Something that a checkpoint must not hold."""


@pytest.mark.parametrize(
    ("held", "size", "told"),
    [
        ({"state_dict": {}}, 100, "it is cut off, or no file that PyTorch wrote"),
        (
            {"weights": {}},
            None,
            "holds no 'state_dict' of weights by name, allowed: .*another file",
        ),
        ({"state_dict": 3}, None, "holds no 'state_dict' of weights by name"),
        ([1], None, "holds no 'state_dict' of weights by name"),
        ({"state_dict": {"model.language.n": 3, 4: 5}}, None, "no weights of language, allowed: a"),
        (
            {"state_dict": {}, "x": Pickled()},
            None,
            r"more than tensors .*Pickled\) and is not loaded",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, held, size, told):
    file = tmp_path / "last.ckpt"
    torch.save(held, file)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match=told) as error:
        checkpoint_part(file, "language")
    assert "\n" not in str(error.value)


class Ran:
    """Leaves a folder behind if it is unpickled as usual."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.filterwarnings("ignore:torch.distributed is")
def test_nothing_in_a_sharded_checkpoint_is_executed(sharded, tmp_path):
    left = tmp_path / "left"
    (sharded / ".metadata").write_bytes(pickle.dumps(Ran(left)))
    with pytest.raises(ValueError, match=r"more than tensors .*\(posix.mkdir\) and is not"):
        checkpoint_part(sharded, "language")
    assert not left.exists()
    pickle.loads((sharded / ".metadata").read_bytes())
    assert left.exists(), "it was harmful"


@pytest.mark.filterwarnings("ignore:torch.distributed is")
@pytest.mark.parametrize("name", [SHARD, ".metadata"])
def test_what_may_not_be_read_is_told_so(sharded, monkeypatch, name):
    opened = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=rf"may not be read \(.*{name}\), .*change its rights"):
        checkpoint_part(sharded, "language")


@pytest.mark.parametrize("content", ["half", "other"])
def test_the_damaged_shard_of_a_published_model_is_named(tmp_path, content):
    language = PretrainedLanguageModel(320, str(save_qwen(tmp_path / "whole")))
    folder = tmp_path / "shards"
    language.model.save_pretrained(folder, max_shard_size="20KB")
    shard = sorted(folder.glob("model-*.safetensors"))[-1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2] if content == "half" else b"\xff" * 64)
    with pytest.raises(ValueError, match=rf"language\.name: got .*{shard} is damaged or cut off"):
        PretrainedLanguageModel(320, str(folder))
    with pytest.raises(ValueError, match=rf"init_from: {shard} cannot be read .*download or write"):
        load_part(language, "language", folder)
