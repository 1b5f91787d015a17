"""Advice: the switch of this project that lowers a term of memory."""

from mmlite.plan.devices import Devices
from mmlite.stages import Stage

FEWER = "a smaller data.init_args.budget.max_batch_tokens or batch_size"


def switch_for(term: str, stage: Stage, devices: Devices) -> str:
    """Name what lowers a term, in the keys of YAML.

    Args:
        term: One of `mmlite.plan.ledger.TERMS`.
        stage: Built for its shapes.
        devices: Where the run takes place.
    """
    if term in ("weights", "gradients", "optimizer"):
        more = "more devices under" if devices.strategy == "fsdp" else "several devices with"
        shard = f"{more} -c experiments/overlays/fsdp.yaml"
        if "language" not in stage.trainable or stage.adapters.forms:
            return shard
        return f"{shard}; or model.init_args.adapters.language, a low-rank update (LoRA)"
    if term == "images":
        return _images(stage)
    if term == "logits" and stage.speed.loss_chunk_tokens is None:
        return f"model.init_args.speed.loss_chunk_tokens, such as 1024; or {FEWER}"
    if term == "activations" and (parts := _kept_activations(stage)):
        return f"model.init_args.gradient_checkpointing: [{', '.join(parts)}]; or {FEWER}"
    return FEWER


def _kept_activations(stage: Stage) -> list[str]:
    """Return the parts that keep activations for a backward pass and could compute them again."""
    learns = set(stage.trainable)
    through = {"vision": {"vision"}, "language": {"vision", "projector", "language"}}
    return [
        part
        for part, below in through.items()
        if part in stage.parts and part not in stage.gradient_checkpointing and below & learns
    ]


def _images(stage: Stage) -> str:
    if "vision" in stage.trainable:
        if "vision" not in stage.gradient_checkpointing:
            return f"model.init_args.gradient_checkpointing: [vision]; or {FEWER}"
        return f"model.init_args.trainable without vision, or {FEWER}"
    if stage.processor.features is None:
        return "processor.init_args.features: a mmlite.features.FeatureCache encodes an image once"
    return FEWER
