"""Weights of parts on disk: one safetensors file per run, names prefixed by part."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmlite.errors import writing
from mmlite.published import WeightFiles, part_weights
from mmlite.published.files import RUN_FILE
from mmlite.stages.checkpoints import checkpoint_part, is_checkpoint

_log = logging.getLogger(__name__)

WEIGHTS_FILE = RUN_FILE
"""Name of the file a run leaves its weights in."""

VOCABULARY_TABLES = ("embed_tokens.weight", "lm_head.weight")
"""Tensors with one row for each token."""

VOCABULARY_ROUNDING = 1024
"""Most rows that published tables differ by: they are rounded up, or have room for new tokens."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load_part` found.

    Attributes:
        missing: Names the model has and the file has not.
        unexpected: Names of that part the file has and the model has not.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights, whole or not at all.

    Args:
        weights: By name, `part.` first.
        path: The file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    temporary = path.with_name(f".{path.name}.part")
    with writing(path):
        save_file(kept, temporary)
        os.replace(temporary, path)


def load_part(module: nn.Module, part: str, path: str | Path) -> Loaded:
    """Load one part's weights into a module.

    Args:
        module: The part.
        part: Its name, the prefix of its weights in a run's file.
        path: A run's folder, a safetensors file, a checkpoint, sharded or not, or a folder of a
            model that another program wrote (`mmlite.published`).

    Raises:
        ValueError: If there is nothing of that part, nothing of it fits, or a tensor has another
            shape.
    """
    own = module.state_dict()
    if is_checkpoint(path):
        mine, is_published = checkpoint_part(path, part), False
    else:
        found = part_weights(WeightFiles(path), part)
        mine, is_published = dict(found.tensors), found.layout is not None
    if is_published:
        mine = {name: _with_rows(tensor, own.get(name), name) for name, tensor in mine.items()}
    wrong = [
        f"{name} is {tuple(tensor.shape)} in the file and {tuple(own[name].shape)} in the model"
        for name, tensor in mine.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if wrong:
        raise ValueError(
            f"init_from.{part}: {path} does not fit: {'; '.join(wrong[:4])}; build the part with "
            "the sizes it was trained with"
        )
    if not mine.keys() & own.keys():
        raise ValueError(
            f"init_from.{part}: {path} has {', '.join(sorted(mine)[:3])}, and the model "
            f"{', '.join(sorted(own)[:3])}: no name is in both; build the part of the kind the "
            "file was made with"
        )
    result = module.load_state_dict(mine, strict=False)
    tied = tied_names(module)
    missing = tuple(name for name in result.missing_keys if name not in tied)
    return Loaded(missing, tuple(result.unexpected_keys))


def _with_rows(tensor: Tensor, own: Tensor | None, name: str) -> Tensor:
    """Cut or fill up a vocabulary table, which programs round up to different numbers of rows."""
    is_table = name.endswith(VOCABULARY_TABLES)
    if own is None or not is_table or own.shape[1:] != tensor.shape[1:]:
        return tensor
    if not 0 < abs(len(own) - len(tensor)) <= VOCABULARY_ROUNDING:
        return tensor
    _log.warning(
        "init_from: %s has %d rows in the file and %d in the model; the first %d are taken",
        name,
        len(tensor),
        len(own),
        min(len(own), len(tensor)),
    )
    return torch.cat([tensor[: len(own)].to(own), own[len(tensor) :]])


def tied_names(module: nn.Module) -> set[str]:
    """Return the names of parameters that share their tensor with an earlier one."""
    seen: set[int] = set()
    tied = set()
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            tied.add(name)
        seen.add(id(parameter))
    return tied


def full_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights whole, gathered where they are sharded; tied ones once."""
    state = {}
    tied = tied_names(module)
    for name, tensor in module.state_dict().items():
        if name in tied:
            continue
        if hasattr(tensor, "full_tensor"):
            tensor = tensor.full_tensor()
        assert isinstance(tensor, torch.Tensor), "state dicts hold tensors"
        state[name] = tensor
    return state
