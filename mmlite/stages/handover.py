"""What a stage begins with: a part takes all of its weights from a file, and all the file has.

A part that kept random numbers in one block, or lost one, would train without a word and end
worse. What is missing or left over is therefore refused, but for what is known to do no harm.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from mmlite.stages.adapter_files import find_adapter
from mmlite.stages.adapters import PartAdapters
from mmlite.stages.weights import Loaded, load_part

_log = logging.getLogger(__name__)

_BEHIND = ("encoder.norm.", "encoder.fc_norm.", "encoder.attn_pool.", "encoder.head.")
"""What encoders of timm have behind their last block, and features are often taken before."""

_COMPUTED = r"rotary_emb\.inv_freq$"
"""What older programs stored though the configuration tells it."""

_NEWLINE = "image_newline"


def take_parts(
    parts: Mapping[str, nn.Module],
    init_from: Mapping[str, str],
    adapters: PartAdapters,
    trainable: Sequence[str],
) -> None:
    """Load what a stage begins with.

    Args:
        parts: By name.
        init_from: By part, where its weights are, or its adapter.
        adapters: Of the stage; they are told what was found.
        trainable: Names of the parts that learn.

    Raises:
        ValueError: As of `take_part`.
    """
    for part, given in init_from.items():
        saved = find_adapter(given, part)
        path = given if saved is None else adapters.found(part, saved)
        if path is None:
            continue  # the part as it is built is the adapter's base
        take_part(parts[part], part, path, is_trained=part in trainable)
        adapters.taken_from(part, path)


def take_part(module: nn.Module, part: str, path: str | Path, *, is_trained: bool = False) -> None:
    """Load a part's weights for a stage to begin with.

    Left out without a word is what the part was built without on purpose: a last norm, a pooling
    head, what lies behind the layer whose features are taken. An `image_newline` may come or go
    with the images' transform, and the log says so: a run at a fixed resolution has none, and one
    that sees tiles learns its own.

    Args:
        module: The part.
        part: Its name.
        path: As for `load_part`.
        is_trained: Whether the part learns, and so may begin with a new `image_newline`.

    Raises:
        ValueError: If the file lacks weights of the part or has others, and as of `load_part`.
    """
    if not Path(path).exists():
        raise ValueError(
            f"init_from.{part}: got {path}, but there is no such folder or file, allowed: a run's "
            "folder, a model's or a safetensors file; correct the path, or run the stage that "
            "makes it first"
        )
    loaded = load_part(module, part, path)
    may_be_new = is_trained and not loaded.is_published
    lacking = [name for name in loaded.missing if name != _NEWLINE or not may_be_new]
    left = [name for name in loaded.unexpected if not _is_harmless(name, module)]
    told = f"init_from.{part}: got {path}, which"
    if lacking:
        raise ValueError(
            f"{told} lacks {len(lacking)} of the part's weights, such as {', '.join(lacking[:3])}, "
            f"allowed: all of them; {_advice(lacking)}"
        )
    if left:
        raise ValueError(
            f"{told} has {len(left)} weights that the part as it is built has no place for, such "
            f"as {', '.join(left[:3])}, allowed: those of the part; build it as it was trained, "
            "with as many layers, or cut an encoder by vision.feature_layer"
        )
    _tell_newline(loaded, f"init_from.{part}: {path}")


def _advice(lacking: Sequence[str]) -> str:
    if _NEWLINE in lacking:
        return (
            "give a model that was trained on tiles, or see images at a fixed resolution "
            "(mmlite.images.ImageTransform); a run's own projector may also be trained"
        )
    if all(name.endswith("lm_head.weight") for name in lacking):
        return "build the language model with its head tied to its table, as the file has it"
    return (
        "build it as it was trained, with as many layers (vision.feature_layer where the last ones "
        "are not in the file), or give the whole file"
    )


def _is_harmless(name: str, module: nn.Module) -> bool:
    """Whether a weight that the file has too much was left out of the part on purpose."""
    if name == _NEWLINE or name in getattr(module, "left_out", ()):
        return True
    behind = next((prefix for prefix in _BEHIND if name.startswith(prefix)), None)
    if behind is not None:
        return not any(own.startswith(behind) for own in module.state_dict())
    inner = getattr(module, "model", None)
    known = getattr(inner, "_keys_to_ignore_on_load_unexpected", None) or ()  # of transformers
    return any(re.search(pattern, name) for pattern in (_COMPUTED, *known))


def _tell_newline(loaded: Loaded, told: str) -> None:
    if _NEWLINE in loaded.missing:
        _log.warning("%s has no %s: a new one is learnt", told, _NEWLINE)
    if _NEWLINE in loaded.unexpected:
        _log.warning("%s: %s is left out, for images are not seen in tiles", told, _NEWLINE)
