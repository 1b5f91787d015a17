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
        return f"{more} -c experiments/overlays/fsdp.yaml"
    if term == "images":
        return _images(stage)
    return FEWER


def _images(stage: Stage) -> str:
    if "vision" in stage.trainable:
        return f"model.init_args.trainable without vision, or {FEWER}"
    if stage.processor.features is None:
        return "processor.init_args.features: a mmlite.features.FeatureCache encodes an image once"
    return FEWER
