"""Estimate: what a whole run needs, from one traced step and a sample of its batches."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmlite.plan.advice import switch_for
from mmlite.plan.devices import Devices
from mmlite.plan.flex import is_flex
from mmlite.plan.packed import Packing, packing_of
from mmlite.plan.sample import Sample, count
from mmlite.plan.trace import Trace
from mmlite.stages import Stage
from mmlite.stages.report import PartRow

QUANTITIES = {
    "vision": "tiles",
    "projector": "tiles",
    "language": "padded_tokens",
    "attention": "squared",
    "head": "supervised_tokens",
}
"""What the operations of each place are proportional to."""


@dataclass(frozen=True)
class Run:
    """How long a run is.

    Attributes:
        steps: Optimizer steps.
        accumulated: Batches of one process in a step; fewer in the last one of an epoch.
        batches: Batches of one process in all.
    """

    steps: int
    accumulated: int
    batches: int


@dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        parts: Parameters by part.
        sample: What its batches are like.
        run: How long it is.
        devices: Where it takes place.
        memory: Bytes one device holds at its fullest, by term.
        most: Bytes one device ever holds of each term, which is not always at its fullest.
        dominating: The term with the most bytes.
        switch: What lowers it.
        totals: Of all devices and steps: `tokens`, `supervised_tokens`, `images`, `examples`.
        flops: Operations of the whole run by place, and the optimizer's.
        recomputed: Operations of gradient checkpointing, beside them.
        seconds: Of the whole run; None where a device's speed is unknown.
    """

    parts: list[PartRow]
    sample: Sample
    run: Run
    devices: Devices
    memory: Mapping[str, int]
    most: Mapping[str, int]
    dominating: str
    switch: str
    totals: Mapping[str, float]
    flops: Mapping[str, float]
    recomputed: float
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """Return everything but the batch that was looked at."""
        sample = {key: value for key, value in vars(self.sample).items() if key != "largest"}
        return {
            "parts": [asdict(row) for row in self.parts],
            "sample": sample,
            "run": asdict(self.run),
            "devices": asdict(self.devices),
            "memory": {**self.memory, "total": sum(self.memory.values())},
            "most_memory": dict(self.most),
            "dominating": self.dominating,
            "switch": self.switch,
            "totals": dict(self.totals),
            "flops": {**self.flops, "total": sum(self.flops.values())},
            "recomputed_flops": self.recomputed,
            "hours": None if self.seconds is None else self.seconds / 3600,
        }


def estimate(stage: Stage, trace: Trace, sample: Sample, run: Run, devices: Devices) -> Estimate:
    """Put together what a run needs.

    Args:
        stage: Built for its shapes.
        trace: Of the sample's largest batch.
        sample: What the run's batches are like.
        run: How long it is.
        devices: Where it takes place.
    """
    batches = run.batches * devices.number
    largest = count(sample.largest, stage.processor)
    flops = {}
    for place, number in trace.flops.items():
        counted = quantity = QUANTITIES[place]
        if place == "attention" and is_flex(stage.parts["language"]):
            quantity = "pairs"  # its kernels leave other examples of a row out
        share = sample.mean[quantity] / largest[counted] if largest[counted] else 1.0
        flops[place] = number * share * batches
    if trace.stepped:
        flops["optimizer"] = float(trace.stepped * run.steps * devices.number)
    if "vision" in flops:
        flops["vision"] *= _encoded_share(stage, sample, batches)
    packing = packing_of(stage)
    memory = _packed(devices.held(trace, trace.peak.together), packing)
    dominating = max(memory, key=lambda term: memory[term])
    recomputed = trace.recomputed * batches * sample.mean["padded_tokens"]
    recomputed /= max(largest["padded_tokens"], 1)
    return Estimate(
        parts=stage.part_rows,
        sample=sample,
        run=run,
        devices=devices,
        memory=memory,
        most=_packed(devices.held(trace, trace.peak.alone), packing),
        dominating=dominating,
        switch=switch_for(dominating, stage, devices, sample.largest),
        totals={
            "examples": sample.mean["examples"] * batches,
            "tokens": sample.mean["tokens"] * batches,
            "supervised_tokens": sample.mean["supervised_tokens"] * batches,
            "images": sample.mean["images"] * batches,
        },
        flops=flops,
        recomputed=recomputed,
        seconds=devices.seconds(sum(flops.values())),
    )


def _packed(memory: Mapping[str, int], packing: Packing) -> dict[str, int]:
    return {**memory, "weights": memory["weights"] - packing.saved + packing.unpacked}


def _encoded_share(stage: Stage, sample: Sample, batches: float) -> float:
    """Return how many of a run's images are encoded; cached ones are so in their first epoch."""
    is_cached = stage.processor.features is not None and "vision" not in stage.trainable
    if not is_cached or sample.batches_per_epoch is None:
        return 1.0
    return min(1.0, sample.batches_per_epoch / batches)


def length_of(trainer: Mapping[str, Any], sample: Sample, *, processes: int) -> Run:
    """Read how long a run is from the trainer's settings.

    Raises:
        ValueError: If it has no end that can be foreseen.
    """
    accumulated = int(trainer.get("accumulate_grad_batches") or 1)
    steps = int(trainer.get("max_steps") or -1)
    epochs = trainer.get("max_epochs")
    each = None
    if sample.batches_per_epoch is not None:
        each = max(1, math.ceil(sample.batches_per_epoch / processes))
        limit = trainer.get("limit_train_batches")
        if limit is not None:
            each = max(1, min(each, limit) if isinstance(limit, int) else int(each * limit))
        # An epoch's last batches make a step of their own, as in Lightning.
        if epochs is not None and int(epochs) > 0:
            whole = int(epochs) * math.ceil(each / accumulated)
            steps = whole if steps < 1 else min(steps, whole)
    if steps < 1:
        raise ValueError(
            f"trainer.max_steps: got {trainer.get('max_steps')} and an epoch of unknown length, "
            "allowed: 1 or more; or give --assumed.examples with trainer.max_epochs"
        )
    batches = steps * accumulated
    if each is not None:
        full, rest = divmod(steps, math.ceil(each / accumulated))
        batches = full * each + rest * accumulated
    return Run(steps, accumulated, batches)
