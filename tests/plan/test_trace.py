"""A step that is run by shapes counts what the same step counts when it is run for real."""

import pytest
import torch
from tiny import TinyData, tiny_examples, tiny_processor, tiny_stage
from torch.utils.flop_counter import FlopCounterMode

from mmlite import losses
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.muon import MuonAdamW
from mmlite.optim import build_optimizer, parameter_groups
from mmlite.plan import (
    Run,
    Simulation,
    build_weightless,
    devices_of,
    estimate,
    read_sample,
    trace_step,
)
from mmlite.plan.compiled_loss import compiled_loss_by_shape
from mmlite.plan.packed import bytes_of_weight, packing_of
from mmlite.plan.simulation import CPU_ATTENTION
from mmlite.stages import LanguagePretraining
from mmlite.stages.speed import Speed

ADAM = torch.optim.AdamW


def traced(stage, batch, precision="32-true"):
    simulation = Simulation()
    build_weightless(stage, simulation, precision=precision)
    return trace_step(stage, simulation, batch, precision=precision)


@pytest.fixture(scope="module")
def plain(processor, batch):
    """A stage as it is by default, and the trace of its step."""
    stage = tiny_stage(processor=processor, optimizer=ADAM)
    return stage, traced(stage, batch)


@pytest.fixture(scope="module")
def muon(processor, batch):
    stage = tiny_stage(processor=processor, optimizer=MuonAdamW)
    return stage, traced(stage, batch)


@pytest.fixture(scope="module")
def wide_batch(processor):
    return processor.collate([processor.encode_example(e) for e in tiny_examples(24)])


@pytest.fixture(scope="module")
def wide(processor, wide_batch):
    """The trace of a step of four times as many examples."""
    return traced(tiny_stage(processor=processor, optimizer=ADAM), wide_batch)


def test_parameters_are_those_of_the_real_model(plain, processor):
    real = tiny_stage(processor=processor)
    real.configure_model()
    assert plain[0].part_rows == real.part_rows


def test_gradients_and_states_have_the_size_of_what_learns(plain):
    stage, trace = plain
    learnt = sum(4 * row.trainable for row in stage.part_rows)
    assert trace.gradients == learnt
    assert trace.optimizer == 2 * learnt  # AdamW: two moments
    assert trace.peak.alone["gradients"] >= learnt


@pytest.mark.parametrize("chunk_tokens", [700, 300])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_compiled_loss_holds_logits_their_gradient_and_the_heads(
    monkeypatch, dtype: torch.dtype, chunk_tokens: int
):
    """And no float32 tensor of the logits' size; what is planned compiles nothing."""
    monkeypatch.setattr(losses, "LARGE_LOGITS", 1)
    monkeypatch.setattr(losses, "loss_and_gradient", lambda *given: pytest.fail("compiled"))
    tokens, width, vocabulary = 700, 64, 900

    def most_bytes(*, is_compiled: bool) -> int:
        simulation = Simulation()
        head = torch.nn.Linear(width, vocabulary, bias=False, device="meta", dtype=dtype)
        simulation.adopt(head)
        hidden = simulation.empty_like(torch.empty(tokens, width, device="meta", dtype=dtype))
        weights = head.weight.nbytes
        given = {"head": head, "parameters": [head.weight], "chunk_tokens": chunk_tokens}
        targets = torch.zeros(tokens, dtype=torch.long)
        with compiled_loss_by_shape(), simulation, simulation.ledger.watched() as peak:
            losses.chunked_token_loss(hidden, targets, is_compiled=is_compiled, **given)
        return sum(peak.together.values()) - weights

    logits, head = chunk_tokens * vocabulary, width * vocabulary
    sums = 0 if chunk_tokens == tokens else 4 * head
    expected = (2 * logits + head) * dtype.itemsize + sums
    assert most_bytes(is_compiled=True) == pytest.approx(expected, rel=0.15)
    assert most_bytes(is_compiled=True) <= most_bytes(is_compiled=False)


def test_a_stage_whose_loss_is_compiled_is_planned(monkeypatch, processor, batch, plain):
    monkeypatch.setattr(losses, "LARGE_LOGITS", 1)
    monkeypatch.setattr(losses, "loss_and_gradient", lambda *given: pytest.fail("compiled"))
    speed = Speed(compile=True, loss_chunk_tokens=1024)
    stage = tiny_stage(processor=processor, optimizer=ADAM, speed=speed)
    assert traced(stage, batch).flops == plain[1].flops


def test_nothing_of_a_frozen_part_learns(batch, processor):
    stage = tiny_stage(processor=processor, optimizer=ADAM, trainable=["projector"])
    trace = traced(stage, batch)
    (projector,) = [row for row in stage.part_rows if row.part == "projector"]
    assert trace.gradients == 4 * projector.parameters


def test_operations_are_those_of_the_real_step(plain, batch, processor):
    trace = plain[1]
    real = tiny_stage(processor=processor, optimizer=ADAM)
    real.configure_model()
    counter = FlopCounterMode(display=False)
    counter.flop_registry |= CPU_ATTENTION  # PyTorch counts scores twice
    with counter:
        loss, _ = real.loss(batch)
        loss.backward()
    assert sum(trace.flops.values()) == counter.get_total_flops()
    assert trace.recomputed == 0


def test_operations_of_the_optimizer_are_counted_apart(processor, batch, plain, muon):
    one, other = plain[1], muon[1]
    assert one.stepped == 0 < other.stepped
    assert one.flops == other.flops
    counter = FlopCounterMode(display=False)
    real = tiny_stage(processor=processor, optimizer=MuonAdamW)
    real.configure_model()
    optimizer = build_optimizer(real.optimizer, parameter_groups(real.parts, real.trainable), {})
    real.loss(batch)[0].backward()
    with counter:
        optimizer.step()
    assert other.stepped == counter.get_total_flops()


def test_operations_of_the_optimizer_are_done_once_a_step(processor, muon):
    stage, trace = muon
    sample = read_sample(TinyData(processor, number=8, batch_size=4), processor, num_batches=1)
    devices = devices_of({"accelerator": "cpu", "devices": 1})
    run = Run(steps=3, accumulated=2, batches=6)
    assert estimate(stage, trace, sample, run, devices).flops["optimizer"] == 3 * trace.stepped


def test_operations_follow_the_usual_formula():
    """6 per weight and token, 12 per layer, head size and pair of tokens (arXiv:2204.02311, B)."""
    processor = tiny_processor()
    stage = tiny_stage(LanguagePretraining, processor=processor, optimizer=ADAM)
    stage.vision = stage.projector = None
    batch = processor.collate([processor.encode_example(e) for e in tiny_examples(6)[2::3]])
    trace = traced(stage, batch)
    rows, length = batch.input_ids.shape
    block = 4 * 16 * 16 + 3 * 16 * 32
    assert trace.flops["language"] == 6 * 2 * block * rows * length
    assert trace.flops["attention"] == 12 * 2 * 16 * rows * length**2
    assert trace.flops["head"] == 6 * batch.num_supervised * 16 * processor.vocabulary_size


def test_longer_batches_need_more_of_what_grows_with_them(plain, wide):
    small, large = plain[1].peak.alone, wide.peak.alone
    for term in ("activations", "logits", "images"):
        assert large[term] > 2 * small[term]
    for term in ("weights", "gradients", "optimizer"):
        assert large[term] == pytest.approx(small[term], rel=0.2)


def test_half_precision_halves_weights_and_mixed_copies_them(processor, batch, plain):
    full = plain[1]
    half, mixed = (
        traced(tiny_stage(processor=processor, optimizer=ADAM), batch, precision)
        for precision in ("bf16-true", "bf16-mixed")
    )
    assert sum(half.weights.values()) == sum(full.weights.values()) / 2
    assert half.peak.alone["activations"] < full.peak.alone["activations"]
    assert mixed.weights == full.weights
    assert full.peak.alone["weights"] == sum(full.weights.values())
    assert mixed.peak.alone["weights"] > sum(full.weights.values())


def test_gradients_are_there_in_the_forward_pass_only_if_they_are_accumulated(
    processor, wide_batch, wide
):
    simulation, stage = Simulation(), tiny_stage(processor=processor, optimizer=ADAM)
    build_weightless(stage, simulation, precision="32-true")
    several = trace_step(stage, simulation, wide_batch, precision="32-true", accumulated=4)
    assert several.flops == wide.flops
    assert several.peak.alone["gradients"] >= wide.peak.alone["gradients"]
    assert sum(several.peak.together.values()) > sum(wide.peak.together.values())


def test_copies_of_mixed_precision_live_no_longer_than_they_are_needed(processor, batch):
    kept, again = (
        traced(
            tiny_stage(processor=processor, optimizer=ADAM, gradient_checkpointing=parts),
            batch,
            "bf16-mixed",
        ).peak.alone["weights"]
        for parts in (None, ["all"])
    )
    assert again < kept


def test_unknown_precision_is_refused(stage):
    with pytest.raises(ValueError, match=r"trainer\.precision: got 'int4', allowed: 32-true, "):
        build_weightless(stage, Simulation(), precision="int4")


def test_checkpointed_blocks_keep_less_and_compute_again(processor, wide_batch, wide):
    stage = tiny_stage(processor=processor, optimizer=ADAM, gradient_checkpointing=["language"])
    again = traced(stage, wide_batch)
    assert again.flops == wide.flops
    assert 0 < again.recomputed < wide.flops["language"] + wide.flops["attention"]
    assert again.peak.alone["activations"] < 0.8 * wide.peak.alone["activations"]


def test_only_low_rank_updates_learn(processor, batch):
    arguments = {"processor": processor, "optimizer": ADAM, "trainable": ["language"]}
    real = tiny_stage(**arguments, adapters={"language": Adapter(rank=2)})
    real.configure_model()
    stage = tiny_stage(**arguments, adapters={"language": Adapter(rank=2)})
    trace = traced(stage, batch)
    assert stage.part_rows == real.part_rows
    learnt = sum(p.numel() for p in real.built.parameters() if p.requires_grad)
    assert trace.gradients == 4 * learnt


@pytest.mark.parametrize("double", [True, False])
def test_packed_weights_have_the_bytes_of_bitsandbytes(double):
    from bitsandbytes.functional import quantize_4bit

    packed, state = quantize_4bit(
        torch.randn(512, 512), compress_statistics=double, quant_type="nf4"
    )
    assert state is not None
    scales = [state.absmax]
    if double:
        assert state.state2 is not None
        scales.append(state.state2.absmax)
    held = packed.nbytes + sum(scale.nbytes for scale in scales)
    assert bytes_of_weight(Quantization(double=double)) * 512**2 == pytest.approx(held, rel=0.01)


def test_a_plan_of_packed_weights_needs_less(processor, batch):
    def packing(quantize):
        form = Adapter(rank=2, quantize=quantize)
        stage = tiny_stage(processor=processor, optimizer=ADAM, adapters={"language": form})
        traced(stage, batch)
        return packing_of(stage)

    found, none = packing(Quantization()), packing(None)
    block = 4 * 16 * 16 + 3 * 16 * 32
    assert found.saved == pytest.approx(2 * block * (4 - bytes_of_weight(Quantization())), abs=1)
    assert found.unpacked == 2 * 16 * 32  # bfloat16
    assert (none.saved, none.unpacked) == (0, 0)
