"""How a run's memory and time spread over devices."""

from dataclasses import replace

import pytest

from mmlite.plan.devices import H100_FLOPS, devices_of
from mmlite.plan.ledger import Peak
from mmlite.plan.trace import Gathered, Trace

HELD = {
    "weights": 1000,
    "gradients": 800,
    "optimizer": 1600,
    "activations": 500,
    "logits": 50,
    "images": 5,
}
TRACE = Trace(
    weights={"language": 1000},
    gradients=800,
    optimizer=1600,
    peak=Peak(HELD, HELD),
    flops={"language": 100},
    recomputed=0,
    stepped=0,
    block=Gathered(weights=100, gradients=90, sums=80),
    root=Gathered(weights=30, gradients=20, sums=10),
    copies_gathered=False,
)
SHARDED = {
    "class_path": "lightning.pytorch.strategies.ModelParallelStrategy",
    "init_args": {"data_parallel_size": 4, "tensor_parallel_size": 1},
}


def test_one_device_holds_everything():
    devices = devices_of({"accelerator": "cpu", "devices": 1})
    assert devices.strategy == "one device"
    assert devices.held(TRACE, HELD) == HELD
    assert devices.seconds(1e12) is None


def test_copies_hold_everything_and_the_buckets_of_their_gradients():
    devices = devices_of({"devices": 2, "num_nodes": 2, "strategy": "ddp"})
    assert (devices.number, devices.strategy) == (4, "ddp")
    assert devices.held(TRACE, HELD) == {**HELD, "gradients": 1600}


def test_shards_divide_what_belongs_to_weights_and_gather_a_block_at_a_time():
    devices = devices_of({"devices": 4, "strategy": SHARDED})
    held = devices.held(TRACE, HELD)
    assert devices.strategy == "fsdp"
    assert held == {
        **HELD,
        "weights": 1000 // 4 + 30 + 2 * 100,
        "gradients": 800 // 4 + 20 + 90 + 2 * 80,
        "optimizer": 1600 // 4,
    }


def test_gathered_weights_in_bfloat16_are_not_copied_once_more():
    devices = devices_of({"devices": 4, "strategy": SHARDED})
    mixed = {**HELD, "weights": 1500}  # copies of the whole model, which one device would hold
    assert devices.held(TRACE, mixed)["weights"] == 1000 // 4 + 230 + 500
    half = replace(TRACE, copies_gathered=True, block=Gathered(50, 50, 100))
    assert devices.held(half, mixed)["weights"] == 1000 // 4 + 30 + 2 * 50


def test_what_is_in_no_block_is_summed_last():
    devices = devices_of({"devices": 4, "strategy": SHARDED})
    large = replace(TRACE, root=Gathered(weights=500, gradients=400, sums=300))
    assert devices.held(large, HELD)["gradients"] == 800 // 4 + 400 + 80 + 300


def test_nothing_is_summed_while_there_are_no_gradients():
    devices = devices_of({"devices": 4, "strategy": SHARDED})
    assert devices.held(TRACE, {**HELD, "gradients": 0})["gradients"] == 0


def test_time_is_operations_by_what_all_devices_do():
    devices = devices_of({"devices": 4, "strategy": SHARDED}, utilization=0.5)
    assert devices.flops == H100_FLOPS
    assert devices.seconds(4 * H100_FLOPS) == pytest.approx(2)


@pytest.mark.parametrize(("given", "number"), [(3, 3), ("2", 2), ([0, 1], 2), ("0,1,5", 3)])
def test_devices_are_counted_however_they_are_named(given, number):
    assert devices_of({"devices": given}).number == number


def test_other_strategies_are_refused():
    with pytest.raises(ValueError, match=r"trainer\.strategy: got 'deepspeed', allowed: auto, ddp"):
        devices_of({"devices": 2, "strategy": "deepspeed"})
