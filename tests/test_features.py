"""The feature cache: never stale, never torn, shared by processes through files."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false
# Parts of the models built here are known to be there.

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import png, tiny_processor

from mmlite import features as module
from mmlite.features import FeatureCache
from mmlite.records import ImageRef, Turn


def tiles(*values: float) -> torch.Tensor:
    return torch.stack([torch.full((2, 3), float(value)) for value in values])


def opened(folder: Path | None = None, encoder: str = "encoder") -> FeatureCache:
    cache = FeatureCache(None if folder is None else str(folder))
    cache.open(encoder)
    return cache


def test_what_was_put_is_got_and_nothing_else():
    cache = opened()
    cache.put(("a", "b"), tiles(1, 2))
    assert torch.equal(cache.get("b"), tiles(2)[0])
    assert cache.get("c") is None


def test_features_are_copies_without_gradients():
    cache = opened()
    batch = tiles(1, 2).requires_grad_()
    cache.put(("a", "b"), batch)
    found = cache.get("a")
    assert not found.requires_grad
    assert found.untyped_storage().nbytes() == found.numel() * found.element_size()


def test_a_closed_cache_keeps_nothing():
    cache = FeatureCache()
    assert not cache.is_open
    cache.put(("a",), tiles(1))
    assert cache.get("a") is None
    cache.open("encoder")
    assert cache.get("a") is None
    cache.put(("a",), tiles(1))
    cache.close()
    assert cache.get("a") is None


def test_another_encoder_has_features_of_its_own(tmp_path):
    for cache in (opened(), opened(tmp_path)):
        cache.put(("a",), tiles(1))
        cache.open("edited encoder")
        assert cache.get("a") is None
        cache.put(("a",), tiles(2))
        cache.open("encoder")
        assert torch.equal(cache.get("a"), tiles(1)[0])
    assert {path.name for path in tmp_path.iterdir()} == {"encoder", "edited encoder"}


def test_an_edited_image_is_encoded_again(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(1))
    processor = tiny_processor(features=opened())
    row = processor.encode([Turn("user", "<image>")], [ImageRef(path=str(path))])
    processor.features.put(processor.collate([row]).pixel_keys, tiles(1))
    assert len(processor.collate([row]).pixels) == 0
    path.write_bytes(png(2))
    assert len(processor.collate([row]).pixels) == 1


def test_files_are_read_by_the_next_run(tmp_path):
    first = opened(tmp_path)
    first.put(("a", "b"), tiles(1, 2))
    assert opened(tmp_path).get("a") is None  # not written yet
    first.flush()
    assert torch.equal(opened(tmp_path).get("b"), tiles(2)[0])
    first.flush()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1  # nothing new, nothing written


def test_who_shares_finds_meanwhile_what_another_process_writes(tmp_path):
    first, second, alone = (opened(tmp_path) for _ in range(3))
    second.share()
    second.put(("a",), tiles(1))
    first.put(("a", "b"), tiles(3, 2))
    assert second.get("b") is None
    first.flush()
    assert torch.equal(second.get("b"), tiles(2)[0])
    assert torch.equal(second.get("a"), tiles(1)[0])  # its own is replaced by nothing
    assert alone.get("b") is None


def test_who_shares_goes_on_alone_where_files_are_gone_or_torn(tmp_path, caplog):
    for number in range(2):
        cache = opened(tmp_path / str(number))
        cache.share()
        (place,) = (tmp_path / str(number)).iterdir()
        if number:
            (place / "torn.safetensors").write_bytes(b"torn")
        else:
            place.rmdir()
        assert cache.get("a") is None
        assert cache.get("b") is None
    assert caplog.text.count("read no more") == 2


def test_a_full_shard_is_written_without_being_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_TILES", 2)
    cache = opened(tmp_path)
    cache.put(("a",), tiles(1))
    assert not list(tmp_path.rglob("*.safetensors"))
    cache.put(("a", "b"), tiles(1, 2))
    (shard,) = tmp_path.rglob("*.safetensors")
    # What is written is no longer held: it lies in the file, and is read from there.
    content = shard.read_bytes()
    assert torch.equal(cache.get("b"), tiles(2)[0])
    shard.write_bytes(content[:-4] + b"\0\0\0\0")
    assert cache.get("b")[-1, -1] == 0  # pyright: ignore[reportOptionalSubscript]


def test_a_write_that_fails_leaves_no_shard(tmp_path, monkeypatch):
    cache = opened(tmp_path)
    cache.put(("a",), tiles(1))

    def torn(tensors, path, metadata):
        Path(path).write_bytes(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(module, "save_file", torn)
    with pytest.raises(OSError, match="disk full"):
        cache.flush()
    monkeypatch.undo()
    assert opened(tmp_path).get("a") is None  # what was left is no shard
    cache.flush()
    assert torch.equal(opened(tmp_path).get("a"), tiles(1)[0])


def test_a_torn_or_foreign_shard_is_named(tmp_path):
    (tmp_path / "encoder").mkdir()
    shard = tmp_path / "encoder" / "torn.safetensors"
    shard.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"torn\.safetensors cannot be read .*delete it"):
        opened(tmp_path)
    save_file({"features": tiles(1)}, shard)
    with pytest.raises(ValueError, match=r"torn\.safetensors cannot be read .*delete it"):
        opened(tmp_path)
    save_file({"features": tiles(1)}, shard, metadata={"keys": "a b"})
    with pytest.raises(ValueError, match=r"torn\.safetensors cannot be read .*delete it"):
        opened(tmp_path)


OTHER = """
import sys, torch
from mmlite.features import FeatureCache
cache = FeatureCache(sys.argv[1])
cache.open("encoder")
cache.put(("shared", "theirs"), torch.stack([torch.full((2, 3), v) for v in (7.0, 2.0)]))
cache.close()
"""


def test_processes_write_files_of_their_own(tmp_path):
    mine = opened(tmp_path)
    mine.put(("shared", "mine"), tiles(7, 1))
    subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], check=True, timeout=120)
    mine.close()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    cache = opened(tmp_path)
    for key, value in {"shared": 7, "mine": 1, "theirs": 2}.items():
        assert torch.equal(cache.get(key), tiles(value)[0])


def test_a_folder_that_cannot_be_written_stops_before_anything_is_encoded(tmp_path):
    (tmp_path / "file").write_text("")
    cache = FeatureCache(str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"features.init_args.folder: got .*file, which cannot be"):
        cache.open("encoder")
