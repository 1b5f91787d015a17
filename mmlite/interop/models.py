"""Models somebody published, named in a study's YAML to play a role beside our own."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from mmlite.generation import Decoding
from mmlite.hub import local_folder
from mmlite.interop.image_text import ImageTextEngine
from mmlite.interop.reading import read_image_text_model
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.models.language import ATTENTIONS
from mmlite.systems import PerceptionStore, StoredEngine
from mmlite.systems.store import TextEngine

DTYPES = ("auto", "float32", "bfloat16", "float16")


class PublishedModel(ABC):
    """A model of somebody else. Subclass it for models that another library runs.

    Args:
        decoding: How it writes; null takes the study's.

    Attributes:
        sees_images: Whether it may perceive, or answer end to end with an image.
    """

    sees_images: bool = True

    def __init__(self, *, decoding: Decoding | None = None) -> None:
        self.decoding = decoding

    @abstractmethod
    def build(self) -> TextEngine:
        """Load the model and return what asks it."""

    def stored(self, store: PerceptionStore | None) -> StoredEngine:
        """Load the model behind a store, in which each text is found by content."""
        engine = self.build()
        fingerprint = weights_fingerprint(engine.model)
        return StoredEngine(engine, fingerprint=fingerprint, store=store)


class ImageTextModel(PublishedModel):
    """An image-text model of transformers: LLaVA-OneVision, InternVL, SmolVLM, Qwen-VL and more.

    It may perceive, or answer end to end. Any folder or name that `AutoModelForImageTextToText`
    and `AutoProcessor` load will do; code from the checkpoint is never run.

    Args:
        name: Local folder or Hugging Face name, such as `HuggingFaceTB/SmolVLM-Instruct`.
        dtype: Type of the weights: `auto` as published, `float32`, `bfloat16` or `float16`.
        attention: Attention implementation, such as `sdpa` or `eager`.
        device: Where it runs; `auto` takes a GPU if there is one.
        batch_size: Most conversations at once.
        system: A system turn before each conversation; empty for none.
        template: More variables for the model's chat template.
        decoding: How it writes; null takes the study's.
    """

    def __init__(
        self,
        name: str,
        *,
        dtype: str = "auto",
        attention: str = "sdpa",
        device: str = "auto",
        batch_size: int = 8,
        system: str = "",
        template: dict[str, Any] | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        super().__init__(decoding=decoding)
        check_settings(name, dtype=dtype, attention=attention, device=device)
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, allowed: 1 or more")
        if decoding is not None and decoding.thinking is not None:
            raise ValueError(
                "decoding.thinking: got a budget, allowed: null, for models of transformers write "
                "by its own generate; bound them by decoding.max_new_tokens"
            )
        self.name = name
        self.dtype = dtype
        self.attention = attention
        self.device = device
        self.batch_size = batch_size
        self.system = system
        self.template = template

    def build(self) -> ImageTextEngine:
        """Load model and processor."""
        model, processor = read_image_text_model(
            self.name, dtype=self.dtype, attention=self.attention
        )
        return ImageTextEngine(
            model.to(find_device(self.device)),
            processor,
            batch_size=self.batch_size,
            system=self.system,
            template=self.template,
        )


def check_settings(name: str, *, dtype: str, attention: str, device: str) -> None:
    """Refuse what cannot be loaded, before anything is.

    Raises:
        ValueError: If there is no such folder, type, kind of attention or device.
    """
    problems = []
    try:
        local_folder(name, key="name")
    except ValueError as error:
        problems.append(str(error))
    for key, given, allowed in (("dtype", dtype, DTYPES), ("attention", attention, ATTENTIONS)):
        if given not in allowed:
            problems.append(f"{key}: got {given!r}, allowed: {', '.join(allowed)}")
    try:
        find_device(device)
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))


def find_device(device: str) -> torch.device:
    """Return a device; `auto` is a GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    has_gpu = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if has_gpu else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or (found.type == "cuda" and not has_gpu):
        gpu = "cuda, cuda:0 and so on" if has_gpu else "cuda where there is a GPU (here is none)"
        raise ValueError(f"device: got {device!r}, allowed: auto, cpu, {gpu}")
    return found
