"""Our processor as one of transformers: tokenizer, image preprocessing and chat template."""

import copy
from typing import Any

from transformers import (
    GenerationConfig,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PreTrainedTokenizerBase,
)
from transformers.image_utils import PILImageResampling
from transformers.models.llava import LlavaImageProcessor
from transformers.models.llava_onevision import (
    LlavaOnevisionImageProcessor,
    LlavaOnevisionVideoProcessor,
)
from transformers.models.siglip import SiglipImageProcessor

from mmlite.generation import Decoding
from mmlite.images import AnyRes, ImageTransform
from mmlite.interop.export.chat import to_jinja
from mmlite.interop.export.llava import TokenIds, grid_pinpoints
from mmlite.processor import Processor

VIDEO_TOKEN = "<video>"
"""Stands for a video in LLaVA-OneVision; added to the tokenizer where it lacks it."""


def prepare_tokenizer(processor: Processor) -> tuple[PreTrainedTokenizerBase, TokenIds]:
    """Return a copy of the tokenizer that has all the tokens a folder of transformers needs."""
    tokenizer: Any = copy.deepcopy(processor.tokenizer)
    if isinstance(processor.image, AnyRes) and VIDEO_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([VIDEO_TOKEN], special_tokens=True)
    video = tokenizer.get_vocab().get(VIDEO_TOKEN, -1)
    return tokenizer, TokenIds(processor.image_token_id, video)


def to_processor(
    processor: Processor, tokenizer: PreTrainedTokenizerBase, *, patch_size: int
) -> LlavaProcessor | LlavaOnevisionProcessor:
    """Build the processor of transformers that makes the inputs ours makes.

    Args:
        processor: Ours.
        tokenizer: From `prepare_tokenizer`.
        patch_size: Of the vision encoder, in pixels.

    Raises:
        ValueError: If transformers has no processor that cuts images in this way.
    """
    image = processor.image
    token = tokenizer.convert_ids_to_tokens(processor.image_token_id)
    assert isinstance(token, str), "one id has one token"
    template = to_jinja(processor.chat, tokenizer, token)
    # One template, the processor's: the tokenizer's own does not know of images.
    tokenizer.chat_template = None
    if isinstance(image, AnyRes):
        pixels = _shared(image)
        grid = grid_pinpoints(image)
        return LlavaOnevisionProcessor(
            image_processor=LlavaOnevisionImageProcessor(**pixels, image_grid_pinpoints=grid),
            tokenizer=tokenizer,
            video_processor=LlavaOnevisionVideoProcessor(**pixels),
            num_image_tokens=processor.tokens_per_tile,
            vision_feature_select_strategy="full",
            chat_template=template,
            image_token=token,
            video_token=VIDEO_TOKEN,
            vision_aspect_ratio=f"anyres_max_{image.max_tiles}",
        )
    if type(image) is not ImageTransform or image.num_tiles != 1:
        raise ValueError(
            f"export: got processor.image {type(image).__name__} with {image.num_tiles} tiles, "
            "allowed: ImageTransform with one tile, or AnyRes; transformers has no other"
        )
    return LlavaProcessor(
        image_processor=_fixed(image),
        tokenizer=tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="full",
        chat_template=template,
        image_token=token,
        num_additional_image_tokens=0,
    )


def _fixed(image: ImageTransform) -> Any:
    pixels = _shared(image)
    if image.fit == "stretch":
        return SiglipImageProcessor(**pixels)
    return LlavaImageProcessor(**pixels, do_pad=True, do_center_crop=False)


def _shared(image: ImageTransform) -> dict[str, Any]:
    return {
        "size": {"height": image.size_px, "width": image.size_px},
        "image_mean": list(image.mean),
        "image_std": list(image.std),
        "resample": PILImageResampling[image.interpolation.upper()],
    }


def to_generation_config(
    stop_ids: frozenset[int], pad_id: int, decoding: Decoding | None
) -> GenerationConfig:
    """Return how the exported model writes unless it is told otherwise.

    Args:
        stop_ids: Tokens that end a text.
        pad_id: Fills rows up.
        decoding: Of the run.
    """
    decoding = decoding or Decoding()
    sampling = {
        "do_sample": True,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
    }
    return GenerationConfig(
        eos_token_id=sorted(stop_ids),
        pad_token_id=pad_id,
        max_new_tokens=decoding.max_new_tokens,
        **({"do_sample": False} if decoding.is_greedy else sampling),
    )
