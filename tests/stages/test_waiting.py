"""A training step asks its device for no number: it would wait until all that was given is done."""

import sys
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny import TinyData, tiny_anyres, tiny_examples, tiny_processor, tiny_stage, tiny_trainer
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from callbacks import LossCurve, Throughput
from mmlite.batch import Batch
from mmlite.packing import pack
from mmlite.stages.speed import Speed
from mmlite.training.progress import RunProgress

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique")
"""Operations whose result, or its size, has to come back from the device."""


class NoWaiting(TorchDispatchMode):
    """Notes operations that a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.split("::")[1]
        masks = [
            index
            for index in (args[1] if name in ("index", "index_put_") else ())
            if index is not None and index.dtype == torch.bool
        ]
        if (name in WAITING or masks) and not _is_for_transformers():
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def _is_for_transformers() -> bool:
    """Whether it is asked for by transformers, which looks once whether rows are packed."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("transformers.masking_utils"):
            return True
        frame = frame.f_back
    return False


def batches(processor) -> dict[str, Batch]:
    rows = [processor.encode_example(example) for example in tiny_examples(6)]
    batch = processor.collate(rows)
    text = processor.collate([row for row in rows if not row.images])
    return {"padded": batch, "packed": pack(batch, (2, 4), pad_id=processor.pad_id), "text": text}


@pytest.mark.parametrize("kind", ["padded", "packed", "text"])
@pytest.mark.parametrize("make", [tiny_processor, tiny_anyres])
@pytest.mark.parametrize("speed", [Speed(), Speed(loss_chunk_tokens=4)])
def test_a_loss_and_its_gradients_wait_for_nothing(make, kind: str, speed: Speed):
    processor = make()
    stage = tiny_stage(processor=processor, speed=speed)
    stage.configure_model()
    batch = batches(processor)[kind]

    expected, count = stage.loss(batch)
    expected.backward()
    gradients = {name: p.grad for name, p in stage.named_parameters()}
    stage.zero_grad()

    counted = batch.counted()
    with NoWaiting() as mode, profile(activities=[ProfilerActivity.CPU]) as seen:
        total, number = stage.loss(counted)
        total.backward()
    assert mode.seen == []
    # What operations are made of, gradients too: the mode sees no further than their names.
    inner = {event.key.removeprefix("aten::") for event in seen.key_averages()}
    assert inner & {"masked_select", "nonzero", "unique"} == set()
    assert number == count == batch.num_supervised
    torch.testing.assert_close(total, expected)
    for name, parameter in stage.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


def test_what_is_counted_of_a_batch_is_what_it_holds():
    for batch in batches(tiny_processor()).values():
        counted = batch.counted()
        for name in ("num_tokens", "num_sequences", "num_supervised"):
            assert getattr(counted, name) == getattr(batch, name) > 0
        assert counted.supervised is not None
        assert len(counted.supervised) == batch.num_supervised
        assert counted.image_places is not None
        assert len(counted.image_places) == 4 * len(batch.tile_order)
        moved = batch.to("meta")
        assert moved.counts == counted.counts
        assert batch.to("cpu").counts is None


def test_between_two_logs_a_run_with_its_callbacks_waits_for_nothing(tmp_path, monkeypatch):
    """What is asked of batches that still lie on the CPU is no waiting."""
    modes = []

    def counted(self, batch, device, dataloader_idx):
        batch = batch.counted()
        modes.append(NoWaiting())
        modes[-1].__enter__()
        return batch

    def end(self, trainer, *_):
        modes[-1].__exit__(None, None, None)

    end_of_batch = type("EndOfBatch", (Callback,), {"on_train_batch_end": end})
    monkeypatch.setattr(TinyData, "transfer_batch_to_device", counted)
    stage = tiny_stage(decoding=None)
    trainer = tiny_trainer(
        tmp_path,
        max_steps=4,
        accumulate_grad_batches=2,
        callbacks=[LossCurve(), Throughput(), RunProgress(), end_of_batch()],
        enable_progress_bar=True,
    )
    trainer.fit(stage, TinyData(stage.processor, number=16, batch_size=2))
    assert len(modes) == 8
    # Once a step, a tensor of the CPU is asked for how many tokens it had; the end tells the loss.
    expected = [[], ["_local_scalar_dense"]] * 4
    assert [mode.seen for mode in modes][:-1] == expected[:-1]
