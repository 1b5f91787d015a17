"""Parameter groups by part, and the schedule of the learning rate."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

ParameterGroup = dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then half a cosine.

    Attributes:
        warmup_fraction: Share of the optimizer steps that warm up, from 0 to 1.
        final_fraction: Learning rate at the end as a share of the highest one.
    """

    warmup_fraction: float = 0.05
    final_fraction: float = 0.05

    def __post_init__(self) -> None:
        for name in ("warmup_fraction", "final_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"schedule.{name}: got {getattr(self, name)}, allowed: 0 to 1")

    def factor(self, step: int, num_steps: int) -> float:
        """Return the share of the highest learning rate at an optimizer step, counted from 0."""
        warmup = max(1, round(self.warmup_fraction * num_steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.final_fraction + (1 - self.final_fraction) * cosine

    def build(self, optimizer: Optimizer, num_steps: int) -> LambdaLR:
        """Return the schedule for an optimizer."""
        return LambdaLR(optimizer, lambda step: self.factor(step, num_steps))


def parameter_groups(
    parts: Mapping[str, nn.Module], trainable: Iterable[str]
) -> list[ParameterGroup]:
    """Split the trainable parameters into groups by part and kind.

    Vectors (biases, norm gains, positions) and the vocabulary's tables (embeddings and heads, tied
    or not) get no weight decay. Matrices between hidden states are marked, so that an optimizer may
    treat them apart.

    Args:
        parts: The model's parts by name.
        trainable: Names of the parts that learn.

    Returns:
        Groups with `params`, `part`, `matrix`, `name` and, where it is off, `weight_decay`.
    """
    groups: list[ParameterGroup] = []
    for part in trainable:
        kinds: dict[str, list[nn.Parameter]] = {"matrix": [], "filter": [], "plain": []}
        tables = _tables(parts[part])
        for parameter in parts[part].parameters():
            if parameter.requires_grad:
                kinds[_kind(parameter, tables)].append(parameter)
        for kind, params in kinds.items():
            if params:
                group: ParameterGroup = {"params": params, "part": part, "matrix": kind == "matrix"}
                group["name"] = f"{part}-{kind}"  # by which LearningRateMonitor tells them apart
                groups.append({**group, "weight_decay": 0.0} if kind == "plain" else group)
    return groups


def _kind(parameter: nn.Parameter, tables: set[int]) -> str:
    if parameter.ndim == 2:
        return "plain" if id(parameter) in tables else "matrix"
    # Of four dimensions: a convolution. Of one or three: gains, biases, positions, class tokens.
    return "filter" if parameter.ndim == 4 else "plain"


def _tables(module: nn.Module) -> set[int]:
    """Return the identities of embedding tables, and of the heads of language models."""
    tables: set[int] = set()
    for inner in module.modules():
        if isinstance(inner, nn.Embedding):
            tables.add(id(inner.weight))
        elif callable(heads := getattr(inner, "get_output_embeddings", None)):
            tables.add(id(getattr(heads(), "weight", None)))
    return tables


def build_optimizer(
    factory: Callable[[Iterable], Optimizer],
    groups: list[ParameterGroup],
    lr_scale: Mapping[str, float],
) -> Optimizer:
    """Build an optimizer and scale the learning rate of each part.

    Args:
        factory: Takes parameter groups.
        groups: From `parameter_groups`.
        lr_scale: Factor of the learning rate by part; parts left out have factor 1.

    Raises:
        ValueError: If a factor is below 0, or no number; or the optimizer refuses an argument.
    """
    for part, factor in lr_scale.items():
        if not 0 <= factor < math.inf:
            raise ValueError(
                f"model.init_args.lr_scale.{part}: got {factor}, allowed: 0 or more; a part that "
                "does not learn is left out of model.init_args.trainable"
            )
    try:
        optimizer = factory(groups)
    except ValueError as error:
        told = f"model.init_args.optimizer: {error}; correct its init_args"
        raise ValueError(told) from error
    for group in optimizer.param_groups:
        group["lr"] *= lr_scale.get(group["part"], 1.0)
    return optimizer


def divide_gradients(optimizer: Optimizer, by: int) -> None:
    """Divide the gradients of all that an optimizer changes.

    All at once: one by one, a GPU would be given a kernel for each of hundreds of parameters.
    """
    learnt = (parameter for group in optimizer.param_groups for parameter in group["params"])
    gradients = [parameter.grad for parameter in learnt if parameter.grad is not None]
    if gradients:
        torch._foreach_div_(gradients, by)  # pyright: ignore[reportPrivateImportUsage]
