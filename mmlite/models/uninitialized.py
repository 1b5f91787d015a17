"""Building a module without drawing the random numbers that loaded weights will overwrite.

Only random fills are left out. What is computed, such as position tables and other buffers that no
file holds, is computed as ever.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Made = TypeVar("Made", bound=nn.Module)

RANDOM = {"uniform_", "normal_", "kaiming_uniform_"}
"""In-place operations that fill a tensor with random numbers, as PyTorch's hooks tell of them."""

WHOLE = {"copy_", "zero_", "fill_", "constant_"}
"""In-place operations after which a tensor has no number that it had before."""

RESHAPING = {"t_", "transpose_", "swapaxes_", "squeeze_", "unsqueeze_", "detach_", "requires_grad_"}
"""In-place operations that change no number, which are done as ever."""

OF_SHAPE = {"empty_like", "zeros_like", "ones_like", "new_empty", "new_zeros", "new_ones"}
"""Functions that take the shape of a tensor, and none of its numbers."""

READ = {
    *("item", "tolist", "numpy", "equal", "allclose", "is_nonzero", "__bool__", "__float__"),
    *("__int__", "__index__", "__complex__", "__contains__", "__array__", "__format__", "__repr__"),
}
"""Functions that give numbers of a tensor to Python."""


def loaded_without_drawing(build: Callable[[], Made]) -> Made:
    """Build a module, weights and all, without filling it with random numbers first.

    If a weight was to be filled at random and was not loaded, if something was computed from it, or
    if other random numbers were drawn, the module is built again as ever. Either way it is bit by
    bit what `build()` alone makes; the random numbers that were not drawn are left to whatever
    draws next.

    Args:
        build: Returns the module, its weights loaded in place.
    """
    before = torch.get_rng_state()
    with _NotDrawn() as mode:
        made = build()
    if mode.is_complete(made) and torch.equal(torch.get_rng_state(), before):
        return made
    torch.set_rng_state(before)
    return build()


class _NotDrawn(TorchFunctionMode):
    """Leave out random fills, and what is done in place to such tensors until they are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, Tensor] = {}  # by address; kept, so that no address comes again
        self.was_read = False

    def is_complete(self, module: nn.Module) -> bool:
        """Return whether no number of a module depends on one that was left out."""
        held = {_address(tensor) for tensor in (*module.parameters(), *module.buffers())}
        return not self.was_read and not held & set(self.waiting)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run a function, or not."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        first = args[0] if args else kwargs.get("tensor")
        is_in_place = name.endswith("_") and not name.endswith("__") and isinstance(first, Tensor)
        if is_in_place and name in RANDOM and _is_whole(first):
            self.waiting.setdefault(_address(first), first)
            return first
        if is_in_place and self._waits(first) and name not in RESHAPING:
            if name not in WHOLE:
                return first
            if _is_whole(first):
                del self.waiting[_address(first)]
        given = any(self._waits(tensor) for tensor in _tensors((*args, *kwargs.values())))
        out = func(*args, **kwargs)
        if given and name not in OF_SHAPE:
            # A view of what waits still waits; anything else was computed from it.
            made = first if name == "__setitem__" else out
            computed = any(not self._waits(tensor) for tensor in _tensors(made))
            self.was_read = self.was_read or computed or name in READ
        return out

    def _waits(self, value: Any) -> bool:
        return isinstance(value, Tensor) and _address(value) in self.waiting


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for held in value.values():
            yield from _tensors(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _tensors(held)


def _address(tensor: Tensor) -> int:
    """Return where a tensor's numbers are, which views share; 0 where they are in no one place."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse tensors and those without numbers
        return 0


def _is_whole(tensor: Tensor) -> bool:
    return _address(tensor) != 0 and tensor.untyped_storage().nbytes() == tensor.nbytes
