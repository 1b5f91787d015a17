"""Weights of parts on disk: one safetensors file per run, names prefixed by part."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmlite.errors import writing
from mmlite.models.adapters import is_update
from mmlite.parallel import whole
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
        is_published: Whether another program wrote them.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    is_published: bool = False


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
        ValueError: If there is nothing of that part, nothing of it fits, a tensor has another
            shape, two that are one in the part differ, or they are kept apart from an adapter.
    """
    own = module.state_dict()
    if is_checkpoint(path):
        mine, is_published = checkpoint_part(path, part), False
        _check_adapter(mine, own, f"init_from.{part}: got {path}")
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
    tied = _same_tensors(module)
    _check_tied(tied, mine, f"init_from.{part}: {path}")
    result = module.load_state_dict(mine, strict=False)
    there = {name for names in tied if not mine.keys().isdisjoint(names) for name in names}
    missing = tuple(name for name in result.missing_keys if name not in there)
    return Loaded(missing, tuple(result.unexpected_keys), is_published)


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


def _check_adapter(given: Mapping[str, Tensor], own: Mapping[str, Tensor], told: str) -> None:
    """Refuse a part with an adapter where it is to be loaded into one without."""
    if any(map(is_update, given)) and not any(map(is_update, own)):
        raise ValueError(
            f"{told}, in which the part has an adapter, allowed: the folder of a finished run, of "
            "which the adapter is merged or gone on with; or merge the checkpoint first (mmlite "
            "merge CHECKPOINT --out FOLDER) and name that folder"
        )


def _check_tied(tied: Sequence[Sequence[str]], given: Mapping[str, Tensor], told: str) -> None:
    """Refuse tensors that differ and would be loaded into the same one, the last one staying."""
    for names in tied:
        first, *others = [name for name in names if name in given] or [""]
        for name in others:
            if not torch.equal(given[first], given[name]):
                raise ValueError(
                    f"{told} has {first} and another {name}, which are one tensor in the model, "
                    "allowed: equal ones, or one of them; build the part with two "
                    "(tie_word_embeddings: false), or give a file that has them tied"
                )


def _same_tensors(module: nn.Module) -> list[list[str]]:
    """Return the names of each tensor that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def tied_names(module: nn.Module) -> set[str]:
    """Return the names of parameters that share their tensor with an earlier one."""
    return {name for group in _same_tensors(module) for name in group[1:]}


def full_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights whole, tied ones once.

    Sharded ones are gathered, for the first process alone: every process must call it.
    """
    tied = tied_names(module)
    state = {name: whole(t) for name, t in module.state_dict().items() if name not in tied}
    return {name: tensor for name, tensor in state.items() if tensor is not None}
