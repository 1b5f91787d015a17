"""Trace: one training step of a stage by shapes alone, its memory and operations counted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from mmlite.batch import Batch
from mmlite.models import LanguageModel
from mmlite.optim import build_optimizer, parameter_groups
from mmlite.parallel import deep_blocks
from mmlite.plan.compiled_loss import compiled_loss_by_shape
from mmlite.plan.flex import flex_by_shape
from mmlite.plan.ledger import Peak
from mmlite.plan.simulation import Simulation
from mmlite.stages import Stage
from mmlite.stages.report import part_rows

PLACES = ("vision", "projector", "language")
"""Parts that are counted apart; any other is a head."""

TYPES = {"64": torch.float64, "32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")


@dataclass(frozen=True)
class Gathered:
    """Bytes of a module that is sharded, where it is whole; as `mmlite.parallel.shard` does it.

    Attributes:
        weights: While it computes.
        gradients: Once they are computed.
        sums: Of the piece in which they are summed over processes, in float32.
    """

    weights: int
    gradients: int
    sums: int


@dataclass(frozen=True)
class Trace:
    """What one training step of one process needs, unsharded.

    Attributes:
        weights: Bytes of each part's weights.
        gradients: Bytes of all gradients.
        optimizer: Bytes of the optimizer's states.
        peak: The most bytes that are held.
        flops: Floating point operations by place (`vision`, `projector`, `language`, `attention` of
            the language, `head`), forward and backward.
        recomputed: Operations that gradient checkpointing does again, beside those.
        stepped: Operations of the optimizer, once a step; Muon's products of matrices.
        block: The largest transformer block, as shards gather it.
        root: What is outside of blocks, as shards gather it.
        copies_gathered: Whether mixed precision copies no weights where they are gathered, since
            that makes them of the type that is computed in.
    """

    weights: Mapping[str, int]
    gradients: int
    optimizer: int
    peak: Peak
    flops: Mapping[str, int]
    recomputed: int
    stepped: int
    block: Gathered
    root: Gathered
    copies_gathered: bool


def build_weightless(stage: Stage, simulation: Simulation, *, precision: str) -> None:
    """Build a stage's model with shapes and types alone; no weights are read.

    Raises:
        ValueError: If the precision is none that is known here, or a part refuses its arguments.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"trainer.precision: got {precision!r}, allowed: {', '.join(PRECISIONS)} to be planned"
        )
    with torch.device("meta"):
        stage.configure_model()
    width, _, kind = precision.partition("-")
    if kind == "true" and width != "32":  # which leaves weights as they were read
        stage.built.to(TYPES[width])
        stage.part_rows = part_rows(stage.parts, stage.trainable)
    simulation.adopt(stage.built)


def trace_step(
    stage: Stage, simulation: Simulation, batch: Batch, *, precision: str, accumulated: int = 1
) -> Trace:
    """Run two training steps by shapes; the second one has the optimizer's states.

    Args:
        stage: From `build_weightless`.
        simulation: The one it was built in.
        batch: Pixels and features may be any numbers, token ids and labels are the real ones.
        precision: As Lightning's trainer names it.
        accumulated: Batches of a step; the gradients of earlier ones are there in later ones.
    """
    width, _, kind = precision.partition("-")
    dtype = TYPES[width] if kind == "true" else torch.float32
    fake = replace(
        batch,
        pixels=simulation.empty_like(batch.pixels.to(dtype)),
        features=simulation.empty_like(batch.features.to(dtype)),
    )
    simulation.ledger.hold(fake.pixels, "images")
    simulation.ledger.hold(fake.features, "images")
    autocast = _autocast(precision)
    flex = flex_by_shape(stage.parts.get("language"))
    with flex, compiled_loss_by_shape(), _places_told(stage, simulation), simulation:
        groups = parameter_groups(stage.parts, stage.trainable)
        optimizer = build_optimizer(stage.optimizer, groups, stage.lr_scale)
        gradients = _step(stage, simulation, optimizer, fake, autocast, batches=1)
        optimizer_bytes = simulation.ledger.held["optimizer"]
        batches = min(accumulated, 2)
        with simulation.ledger.watched() as peak:
            _step(stage, simulation, optimizer, fake, autocast, batches=batches)
    blocks = [list(block.parameters()) for block in deep_blocks(stage.built)]
    inside = {id(parameter) for block in blocks for parameter in block}
    outside = [p for p in stage.built.parameters() if id(p) not in inside]
    gathered = [_gathered(block, precision) for block in blocks]
    return Trace(
        weights={name: _bytes(part) for name, part in stage.parts.items()},
        gradients=gradients,
        optimizer=optimizer_bytes,
        peak=peak,
        flops=dict(simulation.flops),
        recomputed=simulation.recomputed,
        stepped=simulation.stepped,
        block=max(gathered, key=lambda one: one.weights, default=Gathered(0, 0, 0)),
        root=_gathered(outside, precision),
        copies_gathered=precision == "bf16-mixed",
    )


def _step(
    stage: Stage,
    simulation: Simulation,
    optimizer: Optimizer,
    batch: Batch,
    autocast: AbstractContextManager,
    *,
    batches: int,
) -> int:
    """Do what a stage does: gradients are dropped as soon as the optimizer has used them.

    Returns:
        The bytes of all gradients; the operations in `simulation` are those of one batch.
    """
    for _ in range(batches):
        simulation.phase, simulation.place = "forward", "language"
        simulation.flops.clear()
        simulation.recomputed = simulation.stepped = 0
        with autocast:
            loss, _ = stage.loss(batch)
        simulation.phase = "backward"
        loss.backward()
        del loss
        for parameter in stage.built.parameters():
            if parameter.grad is not None:
                simulation.ledger.rename(parameter.grad, "gradients")
    gradients = simulation.ledger.held["gradients"]
    simulation.phase = "step"
    optimizer.step()
    optimizer.zero_grad()
    return gradients


def _autocast(precision: str) -> AbstractContextManager:
    width, _, kind = precision.partition("-")
    if kind != "mixed":
        return nullcontext()
    # As Lightning does: copies live as long as the backward pass needs them, and no longer.
    return torch.autocast("cpu", dtype=TYPES[width], cache_enabled=False)


@contextmanager
def _places_told(stage: Stage, simulation: Simulation) -> Iterator[None]:
    """Tell the simulation which part computes, forward and backward."""
    handles: list[RemovableHandle] = []
    watched = [(part, name if name in PLACES else "head") for name, part in stage.parts.items()]
    language = stage.parts.get("language")
    if isinstance(language, LanguageModel):
        head = language.model.get_output_embeddings()
        assert isinstance(head, nn.Module), "causal language models have a head"
        watched.append((head, "head"))
    for module, place in watched:
        handles += _watch(module, place, simulation)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watch(module: nn.Module, place: str, simulation: Simulation) -> list[RemovableHandle]:
    before: list[str] = []

    def enter(module: nn.Module, inputs: Any) -> None:
        before.append(simulation.place)
        simulation.place = place

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        outer = before.pop()
        simulation.place = place if place == "head" else outer  # what follows a head is the loss
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(come_back)

    def come_back(gradient: Tensor) -> None:
        simulation.place = place

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def _gathered(parameters: Sequence[nn.Parameter], precision: str) -> Gathered:
    """Return what a module takes while its shards are gathered."""

    def size(parameter: nn.Parameter) -> int:
        computed = 2 if precision == "bf16-mixed" else parameter.element_size()
        return parameter.numel() * computed

    learnt = [parameter for parameter in parameters if parameter.requires_grad]
    return Gathered(
        weights=sum(map(size, parameters)),
        gradients=sum(map(size, learnt)),
        sums=sum(4 * parameter.numel() for parameter in learnt),
    )


def _bytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
