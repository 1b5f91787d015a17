"""Fingerprint of a model: equal ones have equal fingerprints, on every machine."""

import hashlib

import torch
from torch import nn

UNHASHED = ("training", "is_published")
"""Of a module's numbers, those that say how it is used or where its weights are from."""


def weights_fingerprint(model: nn.Module) -> str:
    """Hash names, shapes, types and bytes of a module's weights, and what else decides its output.

    That is the classes of its modules and their numbers, such as how many heads share a matrix.

    Returns:
        32 hexadecimal digits (BLAKE2b, 128 bits).
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, module in model.named_modules():
        settings = {
            key: value
            for key, value in sorted(vars(module).items())
            if isinstance(value, bool | int | float) and key[0] != "_" and key not in UNHASHED
        }
        digest.update(f"{name} {type(module).__qualname__} {settings};".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        flat = tensor.detach().cpu().contiguous().view(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
