"""Reading image-text models of transformers; what is wrong with their files, in one sentence."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from mmlite.hub import Published, locate
from mmlite.models.published_language import UNBUILDABLE, quiet, told


def read_image_text_model(name: str, *, dtype: str, attention: str) -> tuple[Any, Any]:
    """Read a published image-text model, whole; code from the checkpoint is never run.

    Args:
        name: Local folder or Hugging Face name.
        dtype: Type of the weights; `auto` as published.
        attention: Attention implementation.

    Returns:
        The model, and its processor.

    Raises:
        ValueError: If it is not there, or its files do not make an image-text model.
    """
    found = locate(name, key="model")
    try:
        _check_kind(name, found)
        with quiet():
            read: Any = AutoModelForImageTextToText.from_pretrained(
                found.name,
                dtype=dtype if dtype == "auto" else getattr(torch, dtype),
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=found.is_local,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below; what transformers raises names no model
            )
        processor = AutoProcessor.from_pretrained(
            found.name, trust_remote_code=False, local_files_only=found.is_local
        )
    except _Unusable:
        raise
    except UNBUILDABLE as error:
        raise _Unusable(name, f"which cannot be loaded ({told(error)}{found.note})") from error
    model, info = read
    for kind, what in (
        ("mismatched_keys", "of whose weights {} have another shape than its config.json says"),
        ("missing_keys", "whose files lack {} of the model's weights"),
    ):
        if names := sorted(key if isinstance(key, str) else key[0] for key in info[kind]):
            shown = ", ".join(names[:3])
            raise _Unusable(name, f"{what.format(len(names))}, such as {shown}")
    return model, processor


class _Unusable(ValueError):
    """A model that cannot play a role, and why."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"model: got {name!r}, {what}; allowed: a local folder or a Hugging Face name of an "
            "image-text model with its processor, with safetensors that belong to its config.json "
            "and without code of its own; get the model again, or name another"
        )


def _check_kind(name: str, found: Published) -> None:
    config = AutoConfig.from_pretrained(
        found.name, trust_remote_code=False, local_files_only=found.is_local
    )
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise _Unusable(name, f"which is a {config.model_type} and no image-text model")
