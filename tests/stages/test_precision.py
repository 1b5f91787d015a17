"""Precisions of the trainer: batches and weights are converted, positions stay exact."""

# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# A stage is watched from inside; modules have the parts that are asked for.

from functools import partial
from typing import Any

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.plugins.precision import MixedPrecision
from safetensors.torch import load_file
from tiny import TinyData, tiny_anyres, tiny_processor, tiny_stage, tiny_trainer
from torch.optim import AdamW

from mmlite.batch import Batch
from mmlite.features import FeatureCache
from mmlite.stages import ExtractionTuning
from mmlite.stages.precision import prepare


class Watched(ExtractionTuning):
    """Keeps the batches it learns from."""

    def loss(self, batch: Batch):
        self.seen: Any = batch
        return super().loss(batch)


def fit(folder, *, precision, processor=None, fused=False, clip=None, **arguments):
    seed_everything(0)
    make = partial(AdamW, lr=0.01, fused=fused)
    stage: Any = tiny_stage(Watched, processor=processor or tiny_processor(), optimizer=make)
    data = TinyData(stage.processor, number=24, batch_size=8)
    settings = {"max_steps": 3, "limit_val_batches": 1, **arguments}
    trainer = tiny_trainer(folder, precision=precision, gradient_clip_val=clip, **settings)
    trainer.fit(stage, data)
    return stage, trainer, load_file(folder / "weights.safetensors")


@pytest.mark.parametrize("make", [tiny_processor, tiny_anyres])
@pytest.mark.parametrize("cached", [False, True])
def test_bf16_true_trains_weights_and_batches_of_bfloat16(make, cached, tmp_path):
    _, exact, _ = fit(tmp_path / "exact", precision="32-true", processor=make())
    features = FeatureCache() if cached else None
    processor = make(features=features)
    stage, trainer, weights = fit(tmp_path, precision="bf16-true", processor=processor)
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert {row.dtypes for row in stage.part_rows} == {"bfloat16"}
    batch = stage.seen
    assert batch.pixels.dtype == batch.features.dtype == torch.bfloat16
    assert batch.input_ids.dtype == batch.labels.dtype == torch.int64
    assert batch.attention_mask.dtype == torch.bool
    assert all(example.turns for example in batch.examples)
    for name in ("train/loss", "val/loss"):
        found, expected = trainer.callback_metrics[name], exact.callback_metrics[name]
        assert found == pytest.approx(float(expected), rel=0.03), name


def test_what_is_pinned_is_converted_behind_the_copy_that_must_not_wait(monkeypatch, tmp_path):
    sent: list[torch.dtype] = []
    original = Batch.to

    def to(batch: Batch, *args: Any, **kwargs: Any) -> Batch:
        sent.append(batch.pixels.dtype)
        return original(batch, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: not sent)
    monkeypatch.setattr(Batch, "to", to)
    stage, _, _ = fit(tmp_path, precision="bf16-true", max_steps=1, limit_val_batches=0)
    assert sent == [torch.float32]
    assert stage.seen.pixels.dtype == torch.bfloat16


def test_positions_stay_in_float32(tmp_path):
    stage, _, _ = fit(tmp_path, precision="bf16-true")
    assert stage.parts["language"].model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_64_true_trains(tmp_path):
    _, _, weights = fit(tmp_path, precision="64-true")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float64}


def test_16_true_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"trainer\.precision: got 16-true, .*use bf16-true for"):
        fit(tmp_path, precision="16-true")


def test_a_fused_optimizer_is_clipped_in_bf16_mixed(tmp_path):
    found = {
        fused: fit(tmp_path / str(fused), precision="bf16-mixed", fused=fused, clip=0.05)[2]
        for fused in (False, True)
    }
    unclipped = fit(tmp_path / "unclipped", precision="bf16-mixed")[2]
    for name, tensor in found[False].items():
        torch.testing.assert_close(found[True][name], tensor, rtol=1e-5, atol=2e-6, msg=name)
    assert any(not torch.equal(unclipped[name], found[True][name]) for name in unclipped)


def test_a_fused_optimizer_is_refused_with_clipping_where_gradients_are_scaled():
    plugin = MixedPrecision("16-mixed", "cpu")
    for _ in range(2):  # a trainer may be used twice
        prepare(plugin, is_trained=True)
    optimizer = AdamW([torch.nn.Parameter(torch.ones(1))], fused=True)
    plugin.clip_gradients(optimizer, 0)
    with pytest.raises(ValueError, match=r"trainer\.gradient_clip_val: got .*16-mixed.*bf16-mixed"):
        plugin.clip_gradients(optimizer, 0.05)
