"""Tiny real parts for tests: a word tokenizer, a processor, a model, drawn images."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from PIL import Image
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch.optim import SGD
from transformers import PreTrainedTokenizerFast

from data_modules.batching import BatchBudget, BatchPlan, PlannedLoader
from mmlite.features import FeatureCache
from mmlite.images import AnyRes, ImageTransform
from mmlite.models import NewLanguageModel, PixelShuffleMLP, TimmVision
from mmlite.processor import Processor
from mmlite.records import Example, ImageRef, Turn
from mmlite.stages import ExtractionTuning, Stage

SPECIAL = ["<pad>", "<unk>", "<user>", "<assistant>", "<end>", "<image>"]
WORDS = ["what", "is", "red", "blue", "green", "one", "two", "three", ".", "?", "look", "answer"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    pattern = Regex(r"<[a-z]+>|[\w-]+|[^\w\s]")
    tokenizer.pre_tokenizer = Split(pattern, "removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )


def tiny_processor(*, features: FeatureCache | None = None, tiles: int = 1) -> Processor:
    image = ImageTransform(size_px=16, grid_columns=tiles)
    return Processor(
        tiny_tokenizer(), image=image, tokens_per_tile=4, max_tokens=128, features=features
    )


def tiny_anyres(*, features: FeatureCache | None = None) -> Processor:
    """Images are seen once whole and in up to 2 x 2 tiles, reduced to about one tile's tokens."""
    image = AnyRes(size_px=16, grid_rows=2, grid_columns=2, max_tiles=1)
    return Processor(
        tiny_tokenizer(), image=image, tokens_per_tile=4, max_tokens=256, features=features
    )


def tiny_language(vocabulary_size: int) -> NewLanguageModel:
    config = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "head_dim": 8,
        "initializer_range": 0.1,
        "tie_word_embeddings": True,
    }
    return NewLanguageModel(vocabulary_size, "qwen3", config)


def seeded_language(vocabulary_size: int) -> NewLanguageModel:
    """A language model with the same weights each time it is built, as an adapter's base needs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return tiny_language(vocabulary_size)


SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "head_dim": 8,
    "initializer_range": 0.2,
}
"""Of a language model of any architecture, whose heads share their keys and values."""


def tiny_language_of(
    model_type: str, vocabulary_size: int, attention: str = "sdpa", **more: Any
) -> NewLanguageModel:
    """A language model of any architecture."""
    return NewLanguageModel(vocabulary_size, model_type, {**SIZES, **more}, attention)


def tiny_vision() -> TimmVision:
    size = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2}
    kind = {"class_token": False, "global_pool": ""}
    return TimmVision("vit_tiny_patch16_224", model_args={**size, **kind})


def tiny_projector(vision_dim: int, text_dim: int) -> PixelShuffleMLP:
    return PixelShuffleMLP(vision_dim, text_dim, 2)


def tiny_stage(kind: type[Stage] = ExtractionTuning, **arguments) -> Stage:
    arguments.setdefault("processor", tiny_processor())
    arguments.setdefault("optimizer", lambda groups: SGD(groups, lr=0.1))
    return kind(language=tiny_language, vision=tiny_vision, projector=tiny_projector, **arguments)


def png(seed: int, size: int = 16, width: int | None = None) -> bytes:
    shape = (size, width or size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def tiny_examples(number: int) -> list[Example]:
    """Examples of different lengths, every third without an image."""
    rng = np.random.default_rng(0)
    examples = []
    for row in range(number):
        words = " ".join(rng.choice(WORDS[2:8], rng.integers(1, 7)))
        images = () if row % 3 == 2 else (ImageRef(data=png(row)),)
        turns = (
            Turn("user", "<image>" * len(images) + "what is ?"),
            Turn("assistant", f"{words} .", trained=True),
        )
        examples.append(
            Example(
                f"tiny-{row}",
                turns,
                images,
                task="short_answer",
                answers=(f"{words} .",),
                source="tiny",
                row=row,
            )
        )
    return examples


class TinyData(LightningDataModule):
    """Tiny examples, in a fixed order unless a shuffle seed is given, then in one of each epoch."""

    def __init__(
        self,
        processor: Processor,
        *,
        number: int,
        batch_size: int,
        max_batch_tokens: int | None = None,
        shuffle_seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.processor = processor
        self.num_workers = num_workers
        self.plan = BatchPlan(
            lambda epoch: _reordered(tiny_examples(number), epoch, shuffle_seed),
            processor.encode_example,
            size=number,
            budget=BatchBudget(batch_size, max_batch_tokens, window_batches=3),
            shuffle_seed=shuffle_seed,
        )

    def train_dataloader(self) -> PlannedLoader:
        return PlannedLoader(self.plan, self.processor.collate, num_workers=self.num_workers)

    def val_dataloader(self) -> PlannedLoader:
        return self.train_dataloader()

    predict_dataloader = val_dataloader


def _reordered(examples: list[Example], epoch: int, seed: int | None) -> list[Example]:
    if seed is None:
        return examples
    return [examples[i] for i in np.random.default_rng([seed, epoch]).permutation(len(examples))]


def tiny_trainer(folder: Path, **arguments: Any) -> Trainer:
    """A quiet trainer on the CPU; `arguments` come over its own."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "use_distributed_sampler": False,
    }
    given = {**quiet, "accelerator": "cpu", "devices": 1, "default_root_dir": folder, **arguments}
    return Trainer(**given)
