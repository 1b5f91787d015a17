"""Switches of speed change no result: whole runs end in the same weights with and without."""

from functools import partial, partialmethod
from pathlib import Path

import pytest
import torch
from lightning import seed_everything
from safetensors.torch import load_file
from tiny import TinyData, tiny_examples, tiny_processor, tiny_stage, tiny_trainer
from torch import nn
from torch.optim import SGD, AdamW

from mmlite.stages import ExtractionTuning, Stage
from mmlite.stages.speed import Speed


def fitted(folder: Path, **arguments) -> tuple[Stage, dict[str, torch.Tensor]]:
    seed_everything(0)
    stage = tiny_stage(ExtractionTuning, **arguments)
    data = TinyData(stage.processor, number=24, batch_size=8)
    tiny_trainer(folder, max_steps=3).fit(stage, data)
    return stage, load_file(folder / "weights.safetensors")


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-5, atol=2e-6, msg=name)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, torch.Tensor]:
    return fitted(tmp_path_factory.mktemp("plain"))[1]


@pytest.mark.parametrize("chunk_tokens", [1, 5, 1000])
def test_a_chunked_loss_changes_no_weight(plain, chunk_tokens: int, tmp_path: Path):
    assert_same(fitted(tmp_path, speed=Speed(loss_chunk_tokens=chunk_tokens))[1], plain)


def test_fused_norms_change_no_weight(plain, tmp_path: Path):
    stage, weights = fitted(tmp_path, speed=Speed(fused_norms=True))
    assert_same(weights, plain)
    fused = [name for name, m in stage.built.named_modules() if "forward" in vars(m)]
    assert len(fused) == 9  # four in each of two blocks, and the last one


def test_fused_rotary_positions_change_no_weight(plain, tmp_path: Path):
    stage, weights = fitted(tmp_path, speed=Speed(fused_rotary=True))
    assert_same(weights, plain)
    fused = [name for name, m in stage.built.named_modules() if "forward" in vars(m)]
    assert len(fused) == 2  # one in each block


def test_fused_parts_are_computed_again_for_the_backward_pass(plain, tmp_path: Path):
    speed = Speed(fused_norms=True, fused_rotary=True)
    _, weights = fitted(tmp_path, speed=speed, gradient_checkpointing=["language"])
    assert_same(weights, plain)


@pytest.fixture
def quickly_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture graphs and their gradients, but run them as they are: no C++ compiler for a test."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))


# PyTorch's own, while it looks at what a block is given.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.usefixtures("quickly_compiled")
@pytest.mark.parametrize("is_fused", [False, True])
def test_compiled_blocks_change_no_weight(plain, is_fused: bool, tmp_path: Path):
    speed = Speed(compile=True, fused_norms=is_fused, fused_rotary=is_fused)
    stage, weights = fitted(tmp_path, speed=speed)
    assert_same(weights, plain)
    compiled = [m for m in stage.built.modules() if m._compiled_call_impl is not None]
    assert len(compiled) == 3  # two blocks of the language model, one of the encoder


@pytest.mark.parametrize("dynamic", [None, True, False])
def test_blocks_are_compiled_for_sizes_as_asked_and_encoders_for_any(monkeypatch, dynamic):
    asked = {}
    monkeypatch.setattr(
        nn.Module, "compile", lambda module, *, dynamic: asked.setdefault(id(module), dynamic)
    )
    stage = tiny_stage(speed=Speed(compile=True, compile_dynamic=dynamic))
    stage.configure_model()
    told = {
        name: [asked[id(m)] for m in part.modules() if id(m) in asked]
        for name, part in stage.parts.items()
    }
    assert told == {"vision": [True], "projector": [], "language": [dynamic, dynamic]}


def test_sizes_of_what_is_not_compiled_are_refused():
    with pytest.raises(ValueError, match=r"speed.compile_dynamic: got true without compile"):
        Speed(compile_dynamic=True)


def test_a_compiled_stage_writes_what_it_wrote_before():
    texts = []
    for compile_it in (False, True):
        seed_everything(0)
        stage = tiny_stage(speed=Speed(compile=compile_it))
        stage.configure_model()
        rows = [stage.processor.encode_example(e) for e in tiny_examples(3)]
        texts.append([p.output for p in stage.predict_step(stage.processor.collate(rows), 0)])
    assert texts[0] == texts[1]


def test_a_fused_optimizer_changes_no_weight(tmp_path: Path):
    make = {fused: partial(AdamW, lr=0.01, fused=fused) for fused in (False, True)}
    weights = [fitted(tmp_path / str(fused), optimizer=make[fused])[1] for fused in make]
    assert_same(weights[1], weights[0])


def test_the_validation_loss_is_chunked_too():
    losses = []
    for speed in (Speed(), Speed(loss_chunk_tokens=2)):
        seed_everything(0)
        stage = tiny_stage(processor=tiny_processor(), speed=speed, optimizer=partial(SGD, lr=0.1))
        stage.configure_model()
        rows = [stage.processor.encode_example(e) for e in tiny_examples(6)]
        with torch.no_grad():
            losses.append(stage.loss(stage.processor.collate(rows)))
    torch.testing.assert_close(losses[1][0], losses[0][0])
    assert losses[1][1] == losses[0][1] > 2


def test_a_chunk_of_no_tokens_is_refused():
    with pytest.raises(ValueError, match=r"speed.loss_chunk_tokens: got 0, allowed: 1 or more"):
        Speed(loss_chunk_tokens=0)


def test_a_switch_that_changes_nothing_is_told():
    parts = {"projector": nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))}
    with pytest.warns(UserWarning, match=r"fused_norms changes nothing here: .*projector.*leave"):
        Speed(fused_norms=True).arrange(parts, [])  # where one changes something, nothing is told
