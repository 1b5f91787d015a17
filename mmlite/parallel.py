"""Processes, compiling, recomputation and sharding: the one place that knows FSDP2.

Data parallel training with sharded parameters (`torch.distributed.fsdp.fully_shard`) through
Lightning's ModelParallelStrategy. Models stay single-device; this is applied to them last.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def shard(model: nn.Module, mesh: DeviceMesh | None, *, precision: str = "32-true") -> None:
    """Shard a model over the data-parallel processes: each block, then the rest.

    Args:
        model: Built and loaded on every process; changed in place.
        mesh: Lightning's device mesh, or None where nothing is sharded.
        precision: Of the trainer. With `bf16-mixed` the shards and what the optimizer keeps stay
            float32, blocks are gathered and computed in bfloat16, and gradients are summed in
            float32.

    Raises:
        ValueError: If the mesh asks for tensor parallelism too, which no model here has a plan for.
    """
    if mesh is None:
        return
    if (given := mesh["tensor_parallel"].size()) > 1:
        raise ValueError(
            f"trainer.strategy.init_args.tensor_parallel_size: got {given}, allowed: 1; models are "
            "sharded over data-parallel processes: set data_parallel_size to devices times machines"
        )
    # Of one process too: what it leaves can then be gone on with by several, and the reverse.
    data_mesh = mesh["data_parallel"]
    policy = _mixed_precision(precision)
    for block in deep_blocks(model):
        fully_shard(block, mesh=data_mesh, mp_policy=policy)
    fully_shard(model, mesh=data_mesh, mp_policy=policy)


def _mixed_precision(precision: str) -> MixedPrecisionPolicy:
    if precision == "32-true":
        return MixedPrecisionPolicy()
    computed = torch.bfloat16 if precision == "bf16-mixed" else None
    return MixedPrecisionPolicy(param_dtype=computed, reduce_dtype=torch.float32)


def whole(tensor: Any) -> torch.Tensor | None:
    """Return a tensor whole; a sharded one on the CPU of the first process, which alone has it.

    Every process must call it. One tensor is gathered at a time, and dropped where it is not
    wanted: a model that is sharded need not fit into one device.

    Args:
        tensor: A tensor, or a `DTensor`, of which each process has a share.
    """
    if not hasattr(tensor, "full_tensor"):
        return tensor.detach()
    gathered = tensor.full_tensor().detach()
    return gathered.cpu() if rank() == 0 else None


def compile_blocks(model: nn.Module, *, dynamic: bool | None = None) -> None:
    """Compile each transformer block in place; names and weights stay as they are.

    Blocks of one kind share their code, so that a deep model compiles as fast as a shallow one.

    Args:
        model: Changed in place.
        dynamic: Whether code is made for any size at once; None: for the first sizes, and again
            for any size when others come (`torch.compile`).
    """
    for block in deep_blocks(model):
        block.compile(dynamic=dynamic)


def uncompiled() -> AbstractContextManager[None]:
    """Return a context in which compiled blocks run as written.

    For decoding: each token makes another shape, and would be compiled for it.
    """
    return torch.compiler.set_stance("force_eager")


def checkpoint_blocks(model: nn.Module) -> None:
    """Keep no activations inside a model's blocks: compute them again for the backward pass.

    Gradients are the same, memory of activations falls to one block's, and a step takes about a
    third longer (Chen et al., arXiv:1604.06174). Blocks in evaluation mode take part, since
    gradients flow through a frozen language model to what comes before it.

    Args:
        model: Changed in place, before it is sharded.
    """
    for block in deep_blocks(model):
        block.forward = partial(_recomputed, block.forward)


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the transformer blocks: the items of every list of modules."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList | nn.Sequential)]
    nested = {id(inner) for outer in lists for inner in outer.modules() if inner is not outer}
    outermost = [module for module in lists if id(module) not in nested]
    return [
        block
        for module in outermost
        for block in module
        if any(parameter.requires_grad or parameter.numel() for parameter in block.parameters())
    ]


def deep_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the blocks that are more than a lone layer, such as those of a projector.

    A lone layer gains nothing from being compiled, computed again or gathered by itself, and FSDP2
    warns of linear ones, whose output is a view.
    """
    return [block for block in _blocks(model) if next(block.children(), None) is not None]


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Let what a step draws, as dropout does, depend on nothing but the seed, step and process.

    A run that is resumed then draws what it would have drawn.

    Args:
        seed: Of the run.
        step: Number of the step.
        device: Which the step is computed on.
    """
    # Mixed by a generator of its own: seeds of neighbours must not give related numbers.
    mixed = np.random.SeedSequence((seed % 2**64, step, rank())).generate_state(1, np.uint64)
    number = int(mixed[0]) >> 1
    torch.default_generator.manual_seed(number)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(number)


def sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor summed over all processes."""
    if world_size() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def gathered(item: Item) -> list[Item]:
    """Return what every process has, in the order of the processes; all of them must call it."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def summed(counts: Mapping[Key, Sequence[float]]) -> dict[Key, list[float]]:
    """Add up numbers by key over all processes; a key may be known to some of them only.

    Args:
        counts: By key, as many numbers for every key on every process.
    """
    total: dict[Key, list[float]] = {}
    for part in gathered(dict(counts)):
        for key, values in part.items():
            before = total.get(key, [0.0] * len(values))
            total[key] = [a + b for a, b in zip(before, values, strict=True)]
    return total


_LOST = re.compile(
    r"gloo/|nccl (communicator was aborted|error)|process ?group.* (abort|timeout|timed out)",
    re.IGNORECASE,
)


def lost_a_process(error: BaseException) -> bool:
    """Whether an error came from waiting for a process of this run that has stopped."""
    if world_size() == 1 or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or _LOST.search(str(error)) is not None


def leave_processes() -> None:
    """Wait for the other processes and part from them; to be done before a process ends.

    A process that ends with its group still open can be aborted by the group's own threads.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
