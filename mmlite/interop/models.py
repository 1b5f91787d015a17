"""Models somebody published, named in a study's YAML to play a role beside our own."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmlite.generation import Decoding
from mmlite.hub import local_folder, locate
from mmlite.interop.image_text import ImageTextEngine
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.systems import PerceptionStore, StoredEngine
from mmlite.systems.store import TextEngine

DTYPES = ("auto", "float32", "bfloat16", "float16")


class PublishedModel(ABC):
    """A model of somebody else. Subclass it for models that another library runs.

    Args:
        decoding: How it writes; null takes the study's.
    """

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
        check_name(name, dtype)
        self.name = name
        self.dtype = dtype
        self.attention = attention
        self.device = device
        self.batch_size = batch_size
        self.system = system
        self.template = template

    def build(self) -> ImageTextEngine:
        """Load model and processor."""
        found = locate(self.name, key="model")
        name, is_local = found.name, found.is_local
        try:
            model: Any = AutoModelForImageTextToText.from_pretrained(
                name,
                dtype=self.dtype if self.dtype == "auto" else getattr(torch, self.dtype),
                attn_implementation=self.attention,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=is_local,
            )
            processor = AutoProcessor.from_pretrained(
                name, trust_remote_code=False, local_files_only=is_local
            )
        except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
            raise ValueError(
                f"model: got {self.name!r}, which cannot be loaded ({error}{found.note}); "
                "allowed: a local folder or a Hugging Face name of an image-text model with its "
                "processor, with safetensors and without code of its own"
            ) from error
        return ImageTextEngine(
            model.to(find_device(self.device)),
            processor,
            batch_size=self.batch_size,
            system=self.system,
            template=self.template,
        )


def check_name(name: str, dtype: str) -> None:
    """Refuse what cannot be loaded, before anything is.

    Raises:
        ValueError: If there is no such folder or type.
    """
    problems = []
    try:
        local_folder(name, key="name")
    except ValueError as error:
        problems.append(str(error))
    if dtype not in DTYPES:
        problems.append(f"dtype: got {dtype!r}, allowed: {', '.join(DTYPES)}")
    if problems:
        raise ValueError("; ".join(problems))


def find_device(device: str) -> torch.device:
    """Return a device; `auto` is a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
