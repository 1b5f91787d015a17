"""Devices: how many there are, what each can do, and how a run is spread over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mmlite.plan.trace import Trace

H100_FLOPS = 989.4e12
"""Dense bfloat16 operations per second of an NVIDIA H100 SXM (NVIDIA H100 datasheet)."""

SHARDING = "ModelParallelStrategy"
DDP_NAMES = ("auto", "ddp", "DDPStrategy", "SingleDeviceStrategy")


@dataclass(frozen=True)
class Devices:
    """Where a run takes place.

    Attributes:
        number: Devices in all, one process each.
        strategy: How they share the model.
        shards: Devices that weights, gradients and optimizer states are divided over.
        flops: Operations per second that one device can do at best; None: unknown.
        utilization: Share of them that a run makes use of.
        memory: Bytes of one device; None: unknown.
    """

    number: int
    strategy: Literal["one device", "ddp", "fsdp"]
    shards: int
    flops: float | None
    utilization: float
    memory: float | None = None

    def held(self, trace: Trace, unshared: Mapping[str, int]) -> dict[str, int]:
        """Return the bytes one device holds, by term.

        Args:
            trace: Of one step.
            unshared: Bytes by term that a device would hold by itself.
        """
        held = dict(unshared)
        if self.strategy == "ddp":  # gradients are averaged in buckets of their own
            held["gradients"] += trace.gradients
        if self.strategy == "fsdp":
            # A block's weights are gathered while it computes, and the next one's before it does;
            # what is in no block stays so for the whole step.
            gathered = trace.root.weights + 2 * trace.block.weights
            whole = sum(trace.weights.values())
            shared = min(whole, held["weights"])
            copies = 0 if trace.copies_gathered else held["weights"] - shared
            held["weights"] = shared // self.shards + copies + min(gathered, shared)
            shared = min(trace.gradients, held["gradients"])
            if shared:
                held["gradients"] += shared // self.shards - shared + self._summed(trace)
            shared = min(trace.optimizer, held["optimizer"])
            held["optimizer"] += shared // self.shards - shared
        return held

    def _summed(self, trace: Trace) -> int:
        """Return the bytes of gradients that are whole while they are summed over processes.

        A block's are copied into one piece for it, and the block's before is kept until then; what
        is in no block comes last.
        """
        block, root = trace.block, trace.root
        return root.gradients + max(block.gradients + 2 * block.sums, block.sums + root.sums)

    def seconds(self, flops: float) -> float | None:
        """Return how long all devices together take for so many operations."""
        if self.flops is None:
            return None
        return flops / (self.number * self.flops * self.utilization)


def devices_of(
    trainer: Mapping[str, Any],
    *,
    flops: float | None = None,
    utilization: float = 0.4,
    memory: float | None = None,
) -> Devices:
    """Read where a run takes place from the trainer's settings.

    Args:
        trainer: `accelerator`, `devices`, `num_nodes` and `strategy`.
        flops: Operations per second of one device; None takes an H100's, but a CPU's is unknown.
        utilization: Share of them that is made use of.
        memory: Bytes of one device.

    Raises:
        ValueError: If the strategy is none that this project trains with.
    """
    is_cpu = trainer.get("accelerator") == "cpu"
    number = _per_machine(trainer.get("devices"), is_cpu=is_cpu) * int(
        trainer.get("num_nodes") or 1
    )
    given_strategy: Any = trainer.get("strategy") or "auto"
    is_name = isinstance(given_strategy, str)
    strategy: Any = {"class_path": given_strategy} if is_name else given_strategy
    name = str(strategy["class_path"]).rpartition(".")[2]
    shards, kind = 1, "ddp" if number > 1 else "one device"
    if name == SHARDING:
        given = (strategy.get("init_args") or {}).get("data_parallel_size", "auto")
        shards = number if given == "auto" else int(given)
        kind = "fsdp" if shards > 1 else kind
    elif not name.startswith(DDP_NAMES):
        raise ValueError(
            f"trainer.strategy: got {name!r}, allowed: auto, ddp and {SHARDING}, as in "
            "experiments/overlays/ddp.yaml and fsdp.yaml"
        )
    if flops is None and not is_cpu:
        flops = H100_FLOPS
    return Devices(number, kind, shards, flops, utilization, memory)


def _per_machine(devices: Any, *, is_cpu: bool) -> int:
    if isinstance(devices, list):
        return len(devices)
    text = str(devices if devices is not None else "auto")
    if text == "auto" or text == "-1":
        return 1 if is_cpu else max(1, torch.cuda.device_count())
    return len(text.split(",")) if "," in text else int(text)
