"""Whether a merged model still says the same: logits on a fixed sample, before and after."""

import io
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from mmlite.batch import Batch
from mmlite.models import VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import IMAGE_PLACEHOLDER, ImageRef, Turn

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of two logits that counts as equal, as a share of the largest logit, by the
type that the merged weights are stored in. Rounding W + B A to bfloat16 moves each weight by up to
one part in 512, float16 by one in 4,096."""

SAMPLE_TOKENS = 48
"""Random tokens of the sample, beside those of its image."""


@torch.no_grad()
def sample_logits(
    model: nn.Module, processor: Processor
) -> Float[Tensor, "batch token vocabulary"]:
    """Return a model's logits on a sample that is always the same: random tokens and an image.

    Args:
        model: A vision-language model, or a language model without vision.
        processor: The model's own.

    Raises:
        ValueError: If it is a model of another kind.
    """
    if not isinstance(model, VisionLanguageModel):
        raise ValueError(
            f"merge: got a {type(model).__name__}, allowed: stages that train a "
            "VisionLanguageModel, whose logits can be compared"
        )
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    batch = _sample(processor, with_image=model.vision is not None).to(device)
    logits = model.language(model.embed(batch), batch.attention_mask)
    shape = logits.shape[:2]
    logits = model.language.logits(logits.flatten(0, 1)).unflatten(0, shape)
    model.train(was_training)
    return logits.float()


def relative_difference(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> float:
    """Return the largest difference as a share of the largest value; infinite for bad numbers."""
    share = (one - other).abs().max() / one.abs().max()
    return share.item() if torch.isfinite(share) else float("inf")


def check_same(difference: float, tolerance: float, what: str) -> None:
    """Refuse a difference above a tolerance.

    Raises:
        ValueError: If the outputs differ.
    """
    if not difference <= tolerance:
        raise ValueError(
            f"{what}: got logits that differ by {difference:.2g} of the largest one, allowed: "
            f"{tolerance:.2g}; nothing was merged. Keep base and adapter apart"
        )


def _sample(processor: Processor, *, with_image: bool) -> Batch:
    rng = np.random.default_rng(0)
    picture = io.BytesIO()
    pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture, format="PNG")
    images = (ImageRef(data=picture.getvalue()),) if with_image else ()
    turns = (Turn("user", IMAGE_PLACEHOLDER * len(images)), Turn("assistant", "", trained=True))
    batch = processor.collate([processor.encode(turns, images)])
    ids = torch.from_numpy(rng.integers(0, processor.vocabulary_size, (1, SAMPLE_TOKENS)))
    ids[ids == processor.image_token_id] = processor.pad_id
    more = torch.ones_like(ids, dtype=torch.bool)
    return replace(
        batch,
        input_ids=torch.cat([batch.input_ids, ids], dim=1),
        labels=torch.cat([batch.labels, ids], dim=1),
        attention_mask=torch.cat([batch.attention_mask, more], dim=1),
    )
