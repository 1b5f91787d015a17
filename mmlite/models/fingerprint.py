"""Fingerprint of a model: equal ones have equal fingerprints, on every machine.

Another version of transformers may say more of a configuration, and so give another one.
"""

import hashlib
import json
from typing import Any

import torch
from torch import nn

UNHASHED = ("training", "is_published")
"""Of a module's numbers, those that say how it is used or where its weights are from."""


_UNTOLD = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Of a configuration, what says where a model is from and how its weights are kept."""


def weights_fingerprint(model: nn.Module) -> str:
    """Hash names, shapes, types and bytes of a module's weights, and what else decides its output.

    That is the classes of its modules, their numbers, such as how many heads share a matrix, and
    the configurations of transformers' models, such as the base of rotary positions.

    Returns:
        32 hexadecimal digits (BLAKE2b, 128 bits).
    """
    digest = hashlib.blake2b(digest_size=16)
    known: set[int] = set()
    for name, module in model.named_modules():
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "to_dict") and id(config) not in known:
            known.add(id(config))
            told = json.dumps(_told(config.to_dict()), sort_keys=True, default=str)
            digest.update(f"{name} {told};".encode())
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


def _told(config: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _told(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _UNTOLD
    }
