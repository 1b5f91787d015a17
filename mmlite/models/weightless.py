"""Models without weights: built on PyTorch's meta device, they have shapes and types alone."""

import torch


def is_weightless() -> bool:
    """Whether models are being built for their shapes alone, so that no weights are to be read.

    That is so where the default device is `meta` (`with torch.device("meta"):`).
    """
    return torch.get_default_device().type == "meta"
