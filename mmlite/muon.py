"""Muon on matrices and AdamW on everything else, as one optimizer.

Muon (K. Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) makes the update of a
matrix orthogonal. Tiny language models learn to copy and to count in far fewer steps with it.

Why not `torch.optim.Muon`: it orthogonalises one matrix after another in bfloat16, which took 110
of 130 ms of a step of a 185k-parameter model on a CPU without bfloat16 units. Here matrices of a
shape are orthogonalised together in float32; the update is the same (`tests/test_muon.py` compares
them). On a CPU with bfloat16 units the two cost about the same (`benchmarks/optimizers.py`).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import AdamW, Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, from the post above."""

ITERATIONS = 5

PARTS = ("vision", "projector", "language")
"""Parts that some stage has; one that has others may be named too, where it learns."""


class _AdamW(AdamW):
    """AdamW that does not look for a GPU at every step."""

    def _accelerator_graph_capture_health_check(self) -> None:
        """Check for a captured graph where there may be one; asking takes half a millisecond."""
        if any(p.device.type != "cpu" for group in self.param_groups for p in group["params"]):
            super()._accelerator_graph_capture_health_check()


class MuonAdamW(Optimizer):
    """Muon on the matrices of some parts, AdamW on everything else.

    Args:
        params: Groups from `mmlite.optim.parameter_groups`.
        lr: Learning rate of AdamW.
        matrix_lr: Learning rate of Muon.
        matrix_parts: Parts whose matrices Muon trains.
        betas: Of AdamW.
        momentum: Of Muon, with Nesterov's look-ahead.
        weight_decay: Of both, for groups that do not say otherwise.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        matrix_lr: float = 0.01,
        matrix_parts: tuple[str, ...] = ("language",),
        betas: tuple[float, float] = (0.9, 0.98),
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        ranges = {
            "lr": (lr, math.inf),
            "matrix_lr": (matrix_lr, math.inf),
            "momentum": (momentum, 1.0),
            "weight_decay": (weight_decay, math.inf),
        }
        for name, (value, end) in ranges.items():
            if not 0 <= value < end:
                raise ValueError(
                    f"MuonAdamW.{name}: got {value}, allowed: 0 or more"
                    + (", below 1" if end == 1 else "")
                )
        groups = [dict(group) for group in params]
        known = {*PARTS, *(str(group["part"]) for group in groups if "part" in group)}
        if unknown := [name for name in matrix_parts if name not in known]:
            raise ValueError(
                f"MuonAdamW.matrix_parts: got {unknown}, allowed: {', '.join(sorted(known))}"
            )
        for group in groups:
            group["muon"] = bool(group.get("matrix")) and group.get("part") in matrix_parts
            group.setdefault("lr", matrix_lr if group["muon"] else lr)
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(groups, defaults)
        # Fused: one kernel for all parameters, not a dozen for each; most of them are small.
        self._adamw_args = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "fused": True}
        self._link()

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], Any] | None = None
    ) -> Any:
        """Update all parameters once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._adamw is not None:
            self._adamw.step()
        for group in self.param_groups:
            if group["muon"]:
                self._step_matrices(group)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state."""
        super().load_state_dict(state_dict)
        self._link()

    def _link(self) -> None:
        """Make the AdamW that shares this optimizer's groups and state."""
        others = [group for group in self.param_groups if not group["muon"]]
        self._adamw = _AdamW(others, **self._adamw_args) if others else None
        if self._adamw is not None:
            self._adamw.state = self.state

    def _step_matrices(self, group: dict[str, Any]) -> None:
        wide: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = state["momentum_buffer"]
            buffer.lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(buffer, group["momentum"])
            is_tall = update.shape[0] > update.shape[1]
            shape = sorted(update.shape)
            wide[shape[0], shape[1]].append((parameter, update.T if is_tall else update))
        for found in wide.values():
            updates = orthogonal(torch.stack([update for _, update in found]))
            for (parameter, _), update in zip(found, updates, strict=True):
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                scale = max(1.0, rows / columns) ** 0.5
                step = update.T if rows > columns else update
                parameter.add_(step, alpha=-group["lr"] * scale)


def orthogonal(
    matrices: Float[Tensor, "matrix row column"],
) -> Float[Tensor, "matrix row column"]:
    """Return the nearest matrices with orthonormal rows, roughly: five Newton-Schulz iterations.

    Args:
        matrices: No taller than wide.
    """
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        # (b gram + c gram gram) x + a x, each product with its sum in one pass.
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
