"""Adapters on disk, apart from their base: the folder that peft writes, and what its base was.

RUN/adapters/PART/ holds `adapter_model.safetensors` and `adapter_config.json`, which peft loads
onto the same base, and `base.json`: fingerprint and origin of the weights the adapter was trained
on, and how they were quantised.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mmlite.models.adapters import (
    Adapter,
    adapted_module,
    adapter_config,
    load_adapter_weights,
)
from mmlite.models.quantization import Quantization
from mmlite.stages.weights import save_weights

FOLDER = "adapters"
"""Folder of a run that holds one folder for each part with an adapter."""

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE = "base.json"

_PIECE = 2**24
"""Numbers that are hashed at a time, so that a large table is not copied whole."""

_TAKEN = frozenset(
    {"r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform"}
)
"""Settings of peft that an adapter here has too, or that are seen by the names of its weights."""

_WITHOUT_EFFECT = frozenset(
    {"auto_mapping", "base_model_name_or_path", "fan_in_fan_out", "inference_mode", "megatron_core"}
    | {"peft_type", "peft_version", "qalora_group_size", "revision", "runtime_config", "task_type"}
)
"""Settings of peft that do not decide what trained weights are: names, and parts of what is off."""

_BASE_UNCHANGED = (True, False, None, "gaussian", "orthogonal", "eva")
"""Ways of peft to begin an adapter that leave the model's own weights as they are."""


@dataclass(frozen=True)
class Base:
    """What an adapter was trained on.

    Attributes:
        fingerprint: Of the part's weights before they were quantised.
        init_from: Where they came from; null for the weights the part is built with.
    """

    fingerprint: str
    init_from: str | None


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter on disk.

    Attributes:
        folder: Where it is.
        adapter: Its form.
        base: What it was trained on; None if another program wrote it and did not say.
    """

    folder: Path
    adapter: Adapter
    base: Base | None

    def load_into(self, module: nn.Module, part: str) -> None:
        """Put its weights into a part with an adapter of the same form.

        Raises:
            ValueError: If the file cannot be read or does not fit.
        """
        try:
            load_adapter_weights(module, _read(self.folder))
        except ValueError as error:
            raise ValueError(f"init_from.{part}: {self.folder}: {error}") from error

    def check_base(self, fingerprint: str, part: str) -> None:
        """Refuse another base than the adapter was trained on.

        Args:
            fingerprint: Of the part's weights, before they are quantised.
            part: Its name.

        Raises:
            ValueError: If they are other weights.
        """
        if self.base is not None and self.base.fingerprint != fingerprint:
            raise ValueError(
                f"init_from.{part}: {self.folder} was trained on other weights of {part} than "
                "these, allowed: the same; build the part as that run did, by the same name, dtype "
                f"and init_from ({self.base.init_from or 'none'})"
            )

    def check_form(self, adapter: Adapter, part: str) -> None:
        """Refuse to go on with an adapter of another form.

        Raises:
            ValueError: Naming what differs.
        """
        keys = ["rank", "alpha", *(["quantize"] if self.base is not None else [])]
        saved = [f"{key} {getattr(self.adapter, key)}" for key in keys]
        given = [f"{key} {getattr(adapter, key)}" for key in keys]
        differ = [(mine, its) for mine, its in zip(given, saved, strict=True) if mine != its]
        if differ:
            raise ValueError(
                f"adapters.{part}: got {', '.join(mine for mine, _ in differ)}, allowed: that of "
                f"{self.folder}, {', '.join(its for _, its in differ)}; or merge it first (mmlite "
                "merge RUN --out FOLDER) and name that folder in init_from"
            )


def find_adapter(path: str | Path | None, part: str) -> SavedAdapter | None:
    """Return a part's adapter in a run's folder or in a folder that peft wrote, if there is one.

    Raises:
        ValueError: If there is one that cannot be read.
    """
    folders = () if path is None else (Path(path) / FOLDER / part, Path(path))
    folder = next((f for f in folders if (f / CONFIG).is_file()), None)
    if folder is None:
        return None
    try:
        config = json.loads((folder / CONFIG).read_text())
        known = json.loads((folder / BASE).read_text()) if (folder / BASE).is_file() else None
        adapter = _adapter(config, folder, part)
        if known is None:
            return SavedAdapter(folder, adapter, None)
        quantize = Quantization(**known["quantize"]) if known["quantize"] else None
        base = Base(known["fingerprint"], known["init_from"])
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(part, folder, str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(part, folder, f"{CONFIG} or {BASE} is not as it was written") from error
    return SavedAdapter(folder, replace(adapter, quantize=quantize), base)


def _damaged(part: str, folder: Path, why: str) -> ValueError:
    return ValueError(
        f"init_from.{part}: {folder} cannot be read ({why}), allowed: an adapter as a run or peft "
        f"left it, with {CONFIG} and {WEIGHTS}; copy it again, or train it again"
    )


def save_adapter(
    folder: Path, adapter: Adapter, base: Base, module: nn.Module, weights: Mapping[str, Tensor]
) -> None:
    """Write an adapter; its weights last, each file whole or not at all.

    Args:
        folder: Where to; made.
        adapter: Its form.
        base: What it was trained on.
        module: The part with the adapter.
        weights: From `adapter_weights`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / CONFIG, adapter_config(module))
    quantize = asdict(adapter.quantize) if adapter.quantize else None
    _write(folder / BASE, {**asdict(base), "quantize": quantize})
    save_weights(weights, folder / WEIGHTS)


def base_fingerprint(module: nn.Module) -> str:
    """Hash the weights of a part, as numbers: equal ones of another type have the same hash.

    Returns:
        32 hexadecimal digits (BLAKE2b, 128 bits).
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in adapted_module(module).named_parameters():
        digest.update(f"{name} {tuple(tensor.shape)};".encode())
        for piece in tensor.detach().reshape(-1).split(_PIECE):
            digest.update(piece.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _adapter(config: Mapping[str, Any], folder: Path, part: str) -> Adapter:
    """Return the form of an adapter that peft wrote."""
    strange = _strange(config)
    if config.get("peft_type") != "LORA" or strange:
        raise ValueError(
            f"init_from.{part}: got {folder}, an adapter with {', '.join(strange) or 'other parts'}"
            " than low-rank updates, allowed: plain LoRA without biases; merge it with peft first"
        )
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in _read(folder)}
    return Adapter(
        rank=config["r"],
        alpha=config["lora_alpha"],
        dropout=config.get("lora_dropout", 0.0),
        target_modules=sorted(layers),
    )


def _strange(config: Mapping[str, Any]) -> list[str]:
    """Return the settings of peft that make an adapter another thing than a low-rank update."""
    from peft import LoraConfig

    plain = LoraConfig().to_dict()
    begun = config.get("init_lora_weights", True)
    strange = [] if begun in _BASE_UNCHANGED else [f"init_lora_weights {begun!r}"]
    for key in sorted(set(config) - _TAKEN - _WITHOUT_EFFECT - {"init_lora_weights"}):
        if config[key] and config[key] != plain.get(key):
            strange.append(key)
    return strange


def _read(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{folder / WEIGHTS} cannot be read ({error}), allowed: the adapter's weights, whole; "
            "copy the folder again, or train it again"
        ) from error


def _write(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=sorted) + "\n")
    temporary.replace(path)
