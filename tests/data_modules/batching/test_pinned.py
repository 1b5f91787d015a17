"""Batches for a GPU come pinned; whatever trains on the CPU pays nothing for it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import tiny_examples, tiny_processor, tiny_stage
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from data_modules import Mixed, TextData
from data_modules.batching import BatchBudget, Position, loader
from data_modules.batching.loader import Loaded
from data_modules.sources import Source


class Texts(Source):
    """Tiny examples."""

    name = "texts"

    def rows(self, split):  # pyright: ignore[reportIncompatibleMethodOverride]
        return [(example,) for example in tiny_examples(4)]


@pytest.mark.parametrize(("device", "is_pinned"), [("cuda", True), ("cpu", False), (None, False)])
def test_batches_are_pinned_where_a_gpu_takes_them(monkeypatch, tmp_path, device, is_pinned):
    asked = []

    def recorded(*args, pin_memory, **kwargs):
        asked.append(pin_memory)
        return DataLoader(*args, **kwargs)

    monkeypatch.setattr(loader, "DataLoader", recorded)
    processor = tiny_stage().processor
    data = TextData(processor, train=[Mixed(Texts())], budget=BatchBudget(2))
    if device is not None:
        strategy = SimpleNamespace(root_device=torch.device(device))
        trainer: Any = SimpleNamespace(strategy=strategy, default_root_dir=tmp_path)
        data.trainer = trainer
    next(iter(data.train_dataloader()))
    assert asked == [is_pinned]


def test_every_tensor_of_a_loaded_batch_is_pinned_and_copied_at_once(monkeypatch):
    processor = tiny_processor()
    batch = processor.collate([processor.encode_example(e) for e in tiny_examples(2)])
    pinned = []

    def pin(tensor):
        copy = tensor.clone()
        pinned.append(copy)
        return copy

    copied = []
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "is_pinned", lambda tensor: any(tensor is p for p in pinned))

    def copy(tensor, device, *, non_blocking):
        copied.append(non_blocking)
        return tensor

    monkeypatch.setattr(Tensor, "to", copy)
    loaded = pin_memory(Loaded(batch, Position(1)))  # as the DataLoader's thread does
    assert loaded.after == Position(1)
    loaded.batch.to("cuda")
    assert (
        copied == [True] * 8
    )  # those of the batch, and the places of what is learnt and of images
    copied.clear()
    loaded.batch.to("cpu")
    batch.to("cuda")
    assert not any(copied)


@pytest.mark.gpu
def test_a_pinned_batch_is_the_same_on_a_gpu():
    processor = tiny_processor()
    batch = processor.collate([processor.encode_example(e) for e in tiny_examples(2)])
    moved = Loaded(batch, Position(1)).pin_memory().batch.to("cuda")
    torch.cuda.synchronize()
    for name in ("input_ids", "labels", "attention_mask", "pixels", "tile_order"):
        assert torch.equal(getattr(moved, name).cpu(), getattr(batch, name)), name
