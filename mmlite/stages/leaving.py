"""What a stage leaves in its run's folder, and how it is taken back from there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmlite.models.quantization import packed_layers
from mmlite.parallel import gathered, sum_over_processes, world_size
from mmlite.stages.adapters import PartAdapters
from mmlite.stages.checkpoints import is_checkpoint
from mmlite.stages.weights import full_state, load_part, save_weights


def leave(
    parts: Mapping[str, nn.Module], adapters: PartAdapters, path: Path, *, is_writer: bool
) -> None:
    """Write weights; every process of a sharded run must call it.

    Of a part with an adapter, the adapter alone is written, into a folder beside the file.

    Args:
        parts: Those that are left, by name.
        adapters: Of the stage.
        path: The file.
        is_writer: Whether this process writes.

    Raises:
        ValueError: If a number that was trained is none any more; nothing is written then.
    """
    updates = adapters.weights(parts)
    weights = {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        if part not in adapters.forms
        for name, tensor in full_state(module).items()
    }
    learnt = {f"{part}.{n}" for part, m in parts.items() for n, p in m.named_parameters()}
    trained = {name: tensor for name, tensor in weights.items() if name in learnt}
    trained |= {f"{part}.{n}": t for part, found in updates.items() for n, t in found.items()}
    lost = lost_weights(trained) if is_writer else []
    check_finite(next(iter(gathered(lost))), len(trained))  # on all processes, or on none
    if not is_writer:
        return
    adapters.save(parts, path.parent, updates)
    save_weights(weights, path)


def check_loss(loss: Tensor, step: int) -> None:
    """Stop a run whose loss is no number any more: nothing that it does now is of any use.

    Every process must call it: one that stops alone would keep the others waiting.

    Args:
        loss: Of this process's last batch.
        step: Optimizer steps so far.

    Raises:
        ValueError: If that of any process is an infinity, or no number.
    """
    if world_size() > 1:
        loss = sum_over_processes(loss)
    if not bool(torch.isfinite(loss)):
        raise ValueError(
            f"train/loss: got {float(loss)} at step {step}, allowed: a number; lower the learning "
            "rate, clip gradients (trainer.gradient_clip_val), or compute in bf16-mixed or 32-true"
        )


def lost_weights(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names of weights that hold an infinity or no number."""
    return [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]


def check_finite(lost: Sequence[str], number: int) -> None:
    """Stop at weights that hold an infinity or no number: whoever takes them would, too.

    Args:
        lost: Their names, from `lost_weights`.
        number: How many weights there are.

    Raises:
        ValueError: If there are any.
    """
    if lost:
        raise ValueError(
            f"the run ends with infinities, or no numbers, in {len(lost)} of {number} "
            f"weights, such as {', '.join(lost[:3])}, and leaves none; lower the learning rate, "
            "clip gradients (trainer.gradient_clip_val), or compute in bf16-mixed or 32-true"
        )


def take_back(
    parts: Mapping[str, nn.Module], names: Sequence[str], adapters: PartAdapters, path: Path
) -> None:
    """Load what a run of the very same stage left in its folder, or in a checkpoint.

    Args:
        parts: By name.
        names: Parts that were left.
        adapters: Of the stage.
        path: The folder, or the checkpoint.

    Raises:
        ValueError: If something of it is missing or does not fit.
    """
    for part in names:
        module = parts[part]
        if part in adapters.forms and not is_checkpoint(path):
            adapters.restore(module, part, path)
            continue
        packed = tuple(f"{name}." for name in packed_layers(module))
        missing = [n for n in load_part(module, part, path).missing if not n.startswith(packed)]
        if missing:
            raise ValueError(
                f"run: got {path}, whose weights lack {', '.join(missing[:4])} of {part}, "
                "allowed: a run trained as its configuration says; train it again"
            )
