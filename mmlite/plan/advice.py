"""Advice: the switches that lower a term of memory, of those that a run has not set yet."""

import torch

from mmlite.batch import Batch
from mmlite.models import LanguageModel, PretrainedLanguageModel
from mmlite.plan.devices import Devices
from mmlite.stages import Stage

ARGUMENTS = "model.init_args"


def switch_for(term: str, stage: Stage, devices: Devices, largest: Batch) -> str:
    """Name what lowers a term, in the keys of YAML; nothing that the run would refuse.

    Args:
        term: One of `mmlite.plan.ledger.TERMS`.
        stage: Built for its shapes.
        devices: Where the run takes place.
        largest: The batch that decides the memory.
    """
    if term in ("weights", "gradients", "optimizer"):
        found = _of_weights(term, stage, devices)
        return "; or ".join(found) or "a smaller model, or fewer parts in model.init_args.trainable"
    fewer = _fewer(largest)
    if term == "images":
        return _images(stage, devices, fewer)
    if term == "logits" and isinstance(stage.parts.get("language"), LanguageModel):
        chunk = stage.speed.loss_chunk_tokens
        size = "such as 1024" if chunk is None else f"below {chunk}"
        return f"{ARGUMENTS}.speed.loss_chunk_tokens, {size}; or {fewer}"
    if term == "activations" and (parts := _kept_activations(stage)):
        return f"{_checkpointing(stage, parts)}; or {fewer}"
    return fewer


def _of_weights(term: str, stage: Stage, devices: Devices) -> list[str]:
    """Return what lowers weights, or what is as many: gradients and the optimizer's states."""
    found = []
    forms, language = stage.adapters.forms, stage.parts.get("language")
    is_quantized = any(form.quantize is not None for form in forms.values())
    is_sharded = devices.strategy == "fsdp"
    if not is_quantized:  # 4-bit weights are not sharded
        more = "more devices under" if is_sharded else "several devices with"
        found.append(f"{more} -c experiments/overlays/fsdp.yaml")
    learns = "language" in stage.trainable
    is_trained = isinstance(language, LanguageModel) and (
        language.is_published or "language" in stage.init_from
    )
    if learns and is_trained:  # updates of random weights are no use
        form = forms.get("language")
        key = f"{ARGUMENTS}.adapters.language"
        if term == "weights" and not is_sharded and (form is None or form.quantize is None):
            found.append(f"{key} with quantize, 4 bits under a low-rank update (QLoRA)")
        elif term != "weights" and form is None:
            found.append(f"{key}, a low-rank update (LoRA)")
    has_dtype = isinstance(language, PretrainedLanguageModel) and (
        language.table.dtype == torch.float32 and (not learns or "language" in forms)
    )
    if term == "weights" and has_dtype and not is_sharded:  # which takes parts of one type alone
        found.append(f"{ARGUMENTS}.language.init_args.dtype: bfloat16")
    elif not forms and not is_sharded and _is_float32(stage):
        found.append("trainer.precision: bf16-true, which rounds what is learnt")
    return found


def _is_float32(stage: Stage) -> bool:
    return any(parameter.dtype == torch.float32 for parameter in stage.built.parameters())


def _fewer(largest: Batch) -> str:
    """Return what makes batches smaller than the largest one."""
    rows = len(largest.input_ids)
    found = [f"a data.init_args.budget.batch_size below {rows}"] if rows > 1 else []
    if largest.num_sequences > rows:
        found.append("a smaller data.init_args.budget.pack_tokens")
    return " or ".join(found) or "shorter texts, or images of fewer tiles"


def _kept_activations(stage: Stage) -> list[str]:
    """Return the parts that keep activations for a backward pass and could compute them again."""
    learns = set(stage.trainable)
    through = {"vision": {"vision"}, "language": {"vision", "projector", "language"}}
    return [
        part
        for part, below in through.items()
        if part in stage.parts and part not in stage.gradient_checkpointing and below & learns
    ]


def _checkpointing(stage: Stage, parts: list[str]) -> str:
    """Return the key with the parts that it names already and those that it should."""
    named = ", ".join([*stage.gradient_checkpointing, *parts])
    return f"{ARGUMENTS}.gradient_checkpointing: [{named}]"


def _images(stage: Stage, devices: Devices, fewer: str) -> str:
    if "vision" in stage.trainable:
        if "vision" not in stage.gradient_checkpointing:
            return f"{_checkpointing(stage, ['vision'])}; or {fewer}"
        is_alone = "language" not in stage.parts or len(stage.trainable) == 1
        if not is_alone and "vision" not in stage.adapters.forms:
            return f"{ARGUMENTS}.trainable without vision, or {fewer}"
    elif stage.processor.features is None and devices.strategy != "fsdp":
        return (
            "processor.init_args.features: a mmlite.features.FeatureCache with a folder, which "
            "encodes an image once"
        )
    return fewer
