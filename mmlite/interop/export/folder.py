"""Writing the folder: built, saved, loaded again by plain transformers, compared, then kept."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmlite.generation import Engine
from mmlite.interop.export.card import Labels as Labels
from mmlite.interop.export.card import model_card
from mmlite.interop.export.compare import Compared, compare, sample_requests
from mmlite.interop.export.history import run_of
from mmlite.interop.export.llava import to_llava
from mmlite.interop.export.processors import prepare_tokenizer, to_generation_config, to_processor
from mmlite.models import VisionLanguageModel
from mmlite.runs import load_run

DTYPES = ("float32", "bfloat16", "float16")
_SIZE = r"\d+(\.\d+)?\s*[KMGT]B"


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: Where it is.
        kind: Class of transformers that loads it.
        compared: How it was compared with the run's model.
    """

    folder: Path
    kind: str
    compared: Compared


def export_run(
    run: str | Path,
    out: str | Path,
    *,
    dtype: str | None = None,
    labels: Labels = Labels(),  # noqa: B008
    max_shard_size: str = "5GB",
) -> Exported:
    """Write a run's model as a folder that transformers loads without us.

    A fixed resolution becomes `LlavaForConditionalGeneration`, any resolution
    `LlavaOnevisionForConditionalGeneration`, each with processor, chat template, generation
    configuration and model card. The folder is loaded again by plain transformers and compared
    with the run's model on sample inputs before it is put in its place.

    Args:
        run: Folder of a finished run.
        out: Folder to make; it must be empty or not there.
        dtype: Type that all weights are rounded to; None keeps that of the language model.
        labels: What the card says of licences, and what it is called.
        max_shard_size: Largest file of weights.

    Raises:
        ValueError: If transformers has no such model, the folder is not empty, or what was
            written does not do what the run's model does.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out: got {out}, which is not empty, allowed: a new or empty folder")
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"--dtype: got {dtype!r}, allowed: {', '.join(DTYPES)}")
    if not re.fullmatch(_SIZE, max_shard_size.strip(), re.IGNORECASE):
        raise ValueError(
            f"--max-shard-size: got {max_shard_size!r}, allowed: a number and KB, MB, GB or TB, "
            "such as 5GB"
        )
    stage = load_run(run)
    model = stage.built
    if not isinstance(model, VisionLanguageModel):
        raise ValueError(
            f"export: got a run of {type(stage).__name__}, allowed: stages that train a "
            "vision-language model"
        )
    kept = model.language.table.dtype if dtype is None else getattr(torch, dtype)
    with torch.no_grad():
        # Not model.to: that would round buffers too, such as the frequencies of positions.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(kept)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        made = Path(temporary) / "model"
        kind = _write(made, model, stage, max_shard_size)
        requests = sample_requests(stage.processor)
        compared = compare(made, model.float(), stage.processor, requests)
        (made / "README.md").write_text(model_card(run_of(Path(run)), model, labels, compared))
        if out.is_dir():
            out.rmdir()
        os.replace(made, out)
    return Exported(out, kind, compared)


def _write(folder: Path, model: VisionLanguageModel, stage: Any, max_shard_size: str) -> str:
    """Save model and processor; return the model's class."""
    processor = stage.processor
    tokenizer, ids = prepare_tokenizer(processor)
    rows = max(len(model.language.table), len(tokenizer))
    llava = to_llava(model, processor, ids, rows=rows)
    vision: Any = model.vision
    patch_size = vision.encoder.patch_embed.patch_size[0]
    engine = Engine(model, processor)
    llava.generation_config = to_generation_config(
        engine.stop_ids, processor.pad_id, stage.decoding
    )
    llava.save_pretrained(folder, max_shard_size=max_shard_size)
    to_processor(processor, tokenizer, patch_size=patch_size).save_pretrained(folder)
    return type(llava).__name__
