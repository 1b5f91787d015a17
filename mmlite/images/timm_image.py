"""The image transform that a timm encoder was trained with."""

import json
from typing import Any, Literal

from mmlite.hub import local_folder
from mmlite.images.anyres import AnyRes
from mmlite.images.transform import ImageTransform


def timm_image(
    model_name: str,
    kind: Literal["stretch", "pad", "anyres"] = "stretch",
    size_px: int | None = None,
) -> ImageTransform:
    """Return a transform with the size, colors and interpolation of a timm encoder's own.

    Why it differs from timm's transform: nothing is cropped, for what lies at the border of an
    image may be asked about.

    Args:
        model_name: As for `mmlite.models.TimmVision`.
        kind: `stretch` ignores the aspect ratio, `pad` keeps it, `anyres` sees tiles.
        size_px: Width and height of a tile, where the encoder is built for another than its own.

    Raises:
        ValueError: If timm knows no such encoder, or the encoder takes no square images.
    """
    from timm.data.config import resolve_data_config  # here, for it brings PyTorch with it

    config = resolve_data_config(pretrained_cfg=_config(model_name))
    _, height, width = config["input_size"]
    if height != width:
        raise ValueError(
            f"processor.image: got {model_name!r}, which takes {height} x {width} pixels, "
            "allowed: encoders of square images"
        )
    same: dict[str, Any] = {
        "size_px": size_px or width,
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
        "interpolation": config["interpolation"],
    }
    return AnyRes(**same) if kind == "anyres" else ImageTransform(fit=kind, **same)


def _config(model_name: str) -> dict[str, Any]:
    """Return timm's description of a model's published weights."""
    import timm
    from timm.models import load_model_config_from_hf

    given = model_name.removeprefix("local-dir:")
    if folder := local_folder(given, key="processor.image.model_name"):
        return json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    if model_name.startswith("hf-hub:"):
        found, _, _ = load_model_config_from_hf(model_name.removeprefix("hf-hub:"))
        return dict(found)
    if not timm.is_model(model_name):
        raise ValueError(
            f"processor.image.model_name: got {model_name!r}, allowed: a model of timm, "
            "hf-hub:NAME or a local folder with config.json; or write size_px, mean and std out"
        )
    known = timm.get_pretrained_cfg(model_name)
    return {} if known is None else known.to_dict()
