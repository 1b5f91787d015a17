"""What Lightning's precision plugins have to know of our batches, models and optimizers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from mmlite.batch import Batch


def prepare(plugin: Precision, *, is_trained: bool) -> None:
    """Let a trainer's precision plugin do right by stages; twice does no harm.

    - A batch converts its own tensors. Lightning would go through its records, which are frozen.
      Pinned ones, which a GPU is sent without waiting, are converted there.
    - A language model keeps the tables that transformers makes in float32, such as the
      frequencies of its positions; rounded to bfloat16, far positions would be wrong.
    - Gradients of a fused optimizer are clipped where nothing scales them.

    Args:
        plugin: Of the trainer; changed in place.
        is_trained: Whether the stage learns.

    Raises:
        ValueError: If a stage cannot learn in that precision.
    """
    if is_trained and plugin.precision == "16-true":
        raise ValueError(
            "trainer.precision: got 16-true, in which summed losses overflow and AdamW divides by "
            "zero, so that weights become NaN, allowed: 32-true, bf16-mixed, 16-mixed, bf16-true, "
            "64-true; use bf16-true for weights of 16 bits"
        )
    if "convert_module" in vars(plugin):
        return
    if type(plugin).convert_input is not Precision.convert_input:  # that leaves all as it is
        plugin.convert_input = partial(_converted_input, plugin.convert_input)
    plugin.convert_module = partial(_converted_module, plugin.convert_module)
    if isinstance(plugin, MixedPrecision):
        plugin.clip_gradients = partial(_clip_gradients, plugin)  # pyright: ignore[reportAttributeAccessIssue]


def _converted_input(convert: Callable[[Any], Any], data: Any) -> Any:
    if not isinstance(data, Batch):
        return convert(data)
    if data.input_ids.is_pinned():
        # A copy made here would not be pinned, and the program would wait while it is sent.
        return replace(data, convert=convert)
    return data.map(convert)


def _converted_module(convert: Callable[[nn.Module], nn.Module], module: nn.Module) -> nn.Module:
    kept: list[tuple[nn.Module, str, Tensor | None]] = [
        (owner, name, owner._buffers[name])
        for model in module.modules()
        if isinstance(model, PreTrainedModel)
        for owner in model.modules()
        for name in owner._non_persistent_buffers_set
    ]
    converted = convert(module)
    for owner, name, buffer in kept:
        owner._buffers[name] = buffer
    return converted


def _clip_gradients(
    plugin: MixedPrecision, optimizer: Optimizer, clip_val: float | int, *args: Any, **kwargs: Any
) -> None:
    is_fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    if plugin.scaler is not None and is_fused and clip_val > 0:
        raise ValueError(
            f"trainer.gradient_clip_val: got {clip_val} with trainer.precision {plugin.precision} "
            "and a fused optimizer, whose gradients are scaled until it steps, allowed: precision "
            "bf16-mixed, or an optimizer with fused: false"
        )
    # Lightning refuses every fused optimizer here, though in bfloat16 nothing is scaled.
    Precision.clip_gradients(plugin, optimizer, clip_val, *args, **kwargs)
