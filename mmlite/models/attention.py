"""Which of PyTorch's kernels computes the attention of a part, where several can."""

from functools import partial
from typing import Any

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmlite.parallel import deep_blocks

CUDNN_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def prefer_cudnn(model: nn.Module) -> int:
    """Let the blocks of a model attend by cuDNN's kernel where it can, else as ever.

    PyTorch asks it last, because it is set up anew for every shape of a batch; encoders see few.
    Block by block, so that what is computed again for the backward pass is computed alike.

    Args:
        model: Changed in place, before its blocks are computed again, compiled or sharded.

    Returns:
        How many blocks were changed.
    """
    blocks = deep_blocks(model)
    for block in blocks:
        block.forward = partial(_by_cudnn, block.forward)
    return len(blocks)


def _by_cudnn(forward: Any, *args: Any, **kwargs: Any) -> Any:
    with sdpa_kernel(CUDNN_FIRST, set_priority=True):
        return forward(*args, **kwargs)
