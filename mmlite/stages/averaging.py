"""Averaging of weights by Lightning's callbacks: where it can be done, and copies for it."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy

from mmlite.stages.adapters import PartAdapters

Module = TypeVar("Module", bound=LightningModule)


def copied(module: Module, memo: dict[int, Any], *, shared: Sequence[str]) -> Module:
    """Return a deep copy of a module that shares some of its attributes.

    Args:
        module: To copy.
        memo: Of `copy.deepcopy`.
        shared: Names of attributes. Factories from a command line know all of a run, its terminal
            included, which cannot be copied.
    """
    memo |= {id(value): value for value in (getattr(module, name) for name in shared)}
    made = type(module).__new__(type(module))
    memo[id(module)] = made
    made.__setstate__(copy.deepcopy(module.__getstate__(), memo))
    return made


def check_averaging(trainer: Trainer, adapters: PartAdapters) -> None:
    """Stop where a callback would average weights that cannot be.

    Raises:
        ValueError: If they are sharded, or have 4 bits.
    """
    callbacks: list[object] = list(trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]
    named = [type(one).__name__ for one in callbacks if isinstance(one, WeightAveraging)]
    if not named:
        return
    is_quantized = any(form.quantize is not None for form in adapters.forms.values())
    if is_quantized:
        raise ValueError(
            f"trainer.callbacks: got {named[0]} with 4-bit weights, whose bits have no average, "
            "allowed: adapters without quantize; or leave the callback out"
        )
    if isinstance(trainer.strategy, ModelParallelStrategy):
        raise ValueError(
            f"trainer.callbacks: got {named[0]} with a sharding strategy, which does not copy "
            "models, allowed: one that keeps them whole, such as ddp; or leave the callback out"
        )
