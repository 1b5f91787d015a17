"""The adapters of a stage's parts: added, loaded, merged, saved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmlite.models.adapters import (
    Adapter,
    adapter_weights,
    add_adapter,
    is_update,
    merge_adapter,
)
from mmlite.models.quantization import packed_layers
from mmlite.processor import Processor
from mmlite.stages.adapter_files import (
    FOLDER,
    Base,
    SavedAdapter,
    base_fingerprint,
    find_adapter,
    save_adapter,
)
from mmlite.stages.merging import TOLERANCE, check_same, relative_difference, sample_logits

_BASES = "adapter_bases"
"""Key of a checkpoint that holds the fingerprint of each adapted part's base."""


class PartAdapters:
    """What a stage knows of its adapters.

    Args:
        forms: The adapter of each part that has one.
    """

    def __init__(self, forms: Mapping[str, Adapter]) -> None:
        self.forms = dict(forms)
        self.bases: dict[str, Base] = {}
        self._saved: dict[str, SavedAdapter] = {}
        self._origins: dict[str, str] = {}

    def found(self, part: str, saved: SavedAdapter) -> str | None:
        """Remember an adapter that `init_from` names; return where its base came from.

        Raises:
            ValueError: If the part gets an adapter of another form.
        """
        if part in self.forms:
            saved.check_form(self.forms[part], part)
        self._saved[part] = saved
        return saved.base.init_from if saved.base else None

    def taken_from(self, part: str, path: str) -> None:
        """Remember where a part's weights came from."""
        self._origins[part] = path

    def merge_others(
        self, model: nn.Module, parts: Mapping[str, nn.Module], processor: Processor
    ) -> None:
        """Merge what was found for parts that get no adapter, and compare logits.

        Raises:
            ValueError: If an adapter was trained on another base, or the logits differ.
        """
        for part in [name for name in self._saved if name not in self.forms]:
            saved = self._saved.pop(part)
            saved.check_base(base_fingerprint(parts[part]), part)
            dtype = weights_dtype(parts[part])
            add_adapter(parts[part], saved.adapter)
            saved.load_into(parts[part], part)
            before = sample_logits(model, processor)
            merge_adapter(parts[part], dtype)
            difference = relative_difference(before, sample_logits(model, processor))
            check_same(difference, _tolerance(saved.adapter, dtype), f"init_from.{part}")

    def check_bases(self, parts: Mapping[str, nn.Module], build: Callable[[], nn.Module]) -> None:
        """Refuse adapters on random weights, which no run keeps and none could be loaded without.

        Args:
            parts: The parts by name, before they get adapters.
            build: Builds the model again, to see which of its weights come out the same.

        Raises:
            ValueError: If a part comes out otherwise.
        """
        doubtful = [
            part
            for part in self.forms
            if part not in self._origins.keys() | self._saved.keys()
            and not getattr(parts[part], "is_published", False)
        ]
        if not doubtful:
            return
        is_used = torch.cuda.is_available() and torch.cuda.is_initialized()
        with torch.random.fork_rng([torch.cuda.current_device()] if is_used else []):
            again = dict(build().named_children())
        random = [part for part in doubtful if not are_equal(parts[part], again[part])]
        if random:
            raise ValueError(
                f"adapters: got {', '.join(random)}, whose own weights are random and would be "
                "lost, for a run keeps the adapter alone, allowed: parts whose weights are "
                "published or come from init_from; load or train the part whole first, and name "
                "that run in init_from"
            )

    def add(
        self, parts: Mapping[str, nn.Module], *, is_sharded: bool, precision: str = "32-true"
    ) -> None:
        """Give each part its adapter, and go on with the one found for it.

        Args:
            parts: The parts by name.
            is_sharded: Whether the model will be sharded.
            precision: Of the trainer.

        Raises:
            ValueError: If quantised weights were to be sharded or converted, or a found adapter
                was trained on another base.
        """
        for part, form in self.forms.items():
            _check_quantized(part, form, is_sharded=is_sharded, precision=precision)
            fingerprint = base_fingerprint(parts[part])
            saved = self._saved.get(part)
            if saved is not None:
                saved.check_base(fingerprint, part)
            self.bases[part] = Base(fingerprint, self._origins.get(part))
            add_adapter(parts[part], form)
            if saved is not None:
                saved.load_into(parts[part], part)

    def add_shapes(self, parts: Mapping[str, nn.Module]) -> None:
        """Give each part its adapter where models have no weights; nothing is packed or loaded."""
        for part, form in self.forms.items():
            add_adapter(parts[part], replace(form, quantize=None))

    def weights(self, parts: Mapping[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
        """Return all adapters by part; every process of a sharded run must call it."""
        return {part: adapter_weights(parts[part]) for part in self.forms}

    def save(
        self,
        parts: Mapping[str, nn.Module],
        folder: Path,
        weights: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        """Write all adapters.

        Args:
            parts: The parts by name.
            folder: The run's folder.
            weights: From `weights`.
        """
        for part, form in self.forms.items():
            target = folder / FOLDER / part
            save_adapter(target, form, self.bases[part], parts[part], weights[part])

    def restore(self, module: nn.Module, part: str, folder: Path) -> None:
        """Load the adapter that a run left for a part.

        Raises:
            ValueError: If there is none, or it was trained on another base.
        """
        saved = find_adapter(folder, part)
        if saved is None:
            raise ValueError(
                f"run: got {folder}, which has no {FOLDER}/{part}, allowed: a run trained as its "
                "configuration says; train it again"
            )
        saved.check_base(self.bases[part].fingerprint, part)
        saved.load_into(module, part)

    def leave_out_base(self, stage: nn.Module, checkpoint: dict[str, Any]) -> None:
        """Drop 4-bit weights from a checkpoint: they never change, and are built again."""
        if not self.forms:
            return
        checkpoint[_BASES] = {part: base.fingerprint for part, base in self.bases.items()}
        packed = tuple(f"{name}." for name in packed_layers(stage))
        if packed:
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {n: t for n, t in state.items() if not n.startswith(packed)}

    def put_back_base(self, stage: nn.Module, checkpoint: dict[str, Any]) -> None:
        """Complete a checkpoint with the 4-bit weights of the stage that loads it.

        Raises:
            ValueError: If the checkpoint was made on another base.
        """
        if not self.forms:
            return
        for part, fingerprint in checkpoint.get(_BASES, {}).items():
            if part in self.bases and self.bases[part].fingerprint != fingerprint:
                raise ValueError(
                    f"ckpt_path: got a checkpoint made on other weights of {part}, allowed: one of "
                    f"the same run; give model.init_args.init_from.{part} as it was then"
                )
        for name in packed_layers(stage):
            for kind, tensor in stage.get_submodule(name).named_parameters(recurse=False):
                checkpoint["state_dict"][f"{name}.{kind}"] = tensor.detach()


def are_equal(part: nn.Module, other: nn.Module) -> bool:
    """Return whether two parts, built alike and without adapters, have the same weights."""
    weights, others = dict(part.named_parameters()), dict(other.named_parameters())
    return weights.keys() == others.keys() and all(
        torch.equal(_bytes(weight), _bytes(others[name])) for name, weight in weights.items()
    )


def _bytes(weight: Tensor) -> Tensor:
    """Return a tensor's bytes, of which NaN equals NaN."""
    return weight.detach().reshape(-1).view(torch.uint8)


def _check_quantized(part: str, form: Adapter, *, is_sharded: bool, precision: str) -> None:
    if form.quantize is None:
        return
    key = f"adapters.{part}.quantize"
    if is_sharded:
        raise ValueError(
            f"{key}: got 4-bit weights with a sharding strategy, allowed: strategies that keep "
            "them whole on each device; use trainer.strategy ddp (experiments/overlays/ddp.yaml), "
            "or leave quantize out"
        )
    storage = form.quantize.storage_dtype
    if storage != "uint8" and precision in ("16-true", "bf16-true", "64-true"):
        raise ValueError(
            f"{key}.storage_dtype: got {storage} with trainer.precision {precision}, which would "
            "convert the packed bits, allowed: uint8; or precision bf16-mixed"
        )


def weights_dtype(part: nn.Module) -> torch.dtype:
    """Return the type of a part's weights that are neither packed nor updates."""
    return next(
        parameter.dtype
        for name, parameter in part.named_parameters()
        if parameter.is_floating_point()
        and not is_update(name)
        and getattr(parameter, "quant_state", None) is None
    )


def _tolerance(adapter: Adapter, dtype: torch.dtype) -> float:
    """Return the tolerance of the coarsest type that takes part."""
    kinds = [TOLERANCE[dtype]]
    if adapter.quantize is not None:
        kinds.append(TOLERANCE[getattr(torch, adapter.quantize.compute_dtype)])
    return max(kinds)
