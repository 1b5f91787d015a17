"""Simulation: real code over tensors that have a shape and no numbers.

Numbers that decide shapes (token ids, labels, masks, positions) stay real, for the model asks them
which tokens are supervised and where images go. Everything with a fraction is PyTorch's FakeTensor.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.flop_counter import flop_registry, sdpa_flop, sdpa_flop_count, shape_wrapper

from mmlite.plan.ledger import Ledger

aten = torch.ops.aten

INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""Operations whose result's shape depends on how many entries of a mask are true."""


@shape_wrapper
def attention_backward(
    gradient: Any,
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: Any,
    **__: Any,
) -> int:
    """Count attention's backward pass as twice the forward one, as of any product of matrices.

    PyTorch's own formula also counts the scores that kernels compute again, which utilisation does
    not mean.
    """
    return 2 * sdpa_flop_count(query, key, value)


CPU_ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
}
"""Formulas of the CPU's attention, which is what a plan runs."""

ATTENTION = ("scaled_dot_product", "bmm")
"""In the names of operations whose cost grows with the square of a sequence's length."""

TERM_OF_PLACE = {"vision": "images", "projector": "images", "head": "logits"}
"""Where the memory of a place's activations is counted; elsewhere they are just activations."""


class Simulation(TorchDispatchMode):
    """Run operations by shape, count their floating point operations and the bytes they hold.

    Attributes:
        ledger: Bytes by term.
        place: What computes now: `vision`, `projector`, `language` or `head`; its loss included.
        phase: `forward`, `backward` or `step`.
        flops: Floating point operations by place, those of the language's attention apart.
        recomputed: Those done again in the backward pass, which are in no other count.
        stepped: Those of the optimizer, which are in no other count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode()
        self.ledger = Ledger()
        self.place = "language"
        self.phase = "forward"
        self.flops: Counter[str] = Counter()
        self.recomputed = 0
        self.stepped = 0
        self._weight_shapes: set[tuple[int, ...]] = set()

    def adopt(self, module: nn.Module) -> None:
        """Give a module built on the meta device weights that have shapes alone."""
        made: dict[int, Any] = {}

        def adopted(tensor: Tensor) -> Any:
            if id(tensor) not in made:
                fake = self.empty_like(tensor)
                self.ledger.hold(fake, "weights")
                is_weight = isinstance(tensor, nn.Parameter)
                made[id(tensor)] = (
                    nn.Parameter(fake, requires_grad=tensor.requires_grad) if is_weight else fake
                )
            return made[id(tensor)]

        for inner in module.modules():
            for tensors in (inner._parameters, inner._buffers):
                for name, tensor in tensors.items():
                    if tensor is not None:
                        tensors[name] = adopted(tensor)
        shapes = [tuple(parameter.shape) for parameter in module.parameters()]
        self._weight_shapes = {shape for shape in shapes if len(shape) > 1}
        self._weight_shapes |= {shape[::-1] for shape in self._weight_shapes}

    def empty_like(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the same shape and type without numbers."""
        with self.fake:
            return torch.empty_strided(
                tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cpu"
            )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation: for real where all its tensors are, else by shape."""
        kwargs = kwargs or {}
        if func in INDEXING:
            args = (args[0], _as_numbers(args[1]), *args[2:])
        flat, spec = tree_flatten((args, kwargs))
        tensors = [value for value in flat if isinstance(value, Tensor)]
        has_shapes_alone = any(isinstance(value, FakeTensor) for value in tensors)
        if not has_shapes_alone and (tensors or _makes_whole_numbers(func, args, kwargs)):
            return func(*args, **kwargs)
        args, kwargs = tree_unflatten([self._faked(value) for value in flat], spec)
        with self.fake:
            out = func(*args, **kwargs)
        self._count(func, args, kwargs, out)
        return out

    def _faked(self, value: Any) -> Any:
        is_real = isinstance(value, Tensor) and not isinstance(value, FakeTensor)
        return self.fake.from_tensor(value) if is_real else value

    def _count(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        packet = func._overloadpacket
        flops = CPU_ATTENTION.get(packet) or flop_registry.get(packet)
        if flops is not None:
            self._count_flops(func, flops(*args, **kwargs, out_val=out))
        for value in tree_flatten(out)[0]:
            if isinstance(value, FakeTensor):
                self.ledger.hold(value, self._term_of(func, value))

    def _count_flops(self, func: Any, number: int) -> None:
        if self.phase == "step":
            self.stepped += number
            return
        # Checkpointed blocks run forward again, with gradients, while gradients are computed.
        if self.phase == "backward" and torch.is_grad_enabled():
            self.recomputed += number
            return
        is_attention = any(name in str(func) for name in ATTENTION)
        kind = "attention" if is_attention and self.place == "language" else self.place
        self.flops[kind] += number

    def _term_of(self, func: Any, made: Tensor) -> str:
        if self.phase == "step":
            return "optimizer"
        if tuple(made.shape) in self._weight_shapes:
            if self.phase == "backward" and not torch.is_grad_enabled():
                return "gradients"
            if func is aten._to_copy.default:  # autocast's copies
                return "weights"
        return TERM_OF_PLACE.get(self.place, "activations")


def _makes_whole_numbers(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether what an operation makes of numbers alone holds no fractions."""
    dtype = kwargs.get("dtype")
    if dtype is not None:
        return not dtype.is_floating_point
    # Positions; transformers makes a mask where it cannot see that no example begins among them.
    return func._overloadpacket is aten.arange and all(isinstance(arg, int) for arg in args)


def _as_numbers(indices: Sequence[Any]) -> list[Any]:
    """Replace real masks among indices by the places where they are true."""
    found: list[Any] = []
    for index in indices:
        is_mask = isinstance(index, Tensor) and index.dtype == torch.bool
        found += index.nonzero(as_tuple=True) if is_mask else [index]
    return found
