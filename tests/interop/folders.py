"""Tiny image-text models of transformers with random weights, saved as published ones are."""

from pathlib import Path
from typing import Any

import torch
from tiny import WORDS
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMProcessor,
)
from transformers.models.got_ocr2 import GotOcr2ImageProcessor
from transformers.models.internvl import InternVLVideoProcessor
from transformers.models.llava_onevision import (
    LlavaOnevisionImageProcessor,
    LlavaOnevisionVideoProcessor,
)
from transformers.models.qwen2_vl import Qwen2VLImageProcessor, Qwen2VLVideoProcessor
from transformers.models.smolvlm import SmolVLMImageProcessor, SmolVLMVideoProcessor

SPECIAL = ["<pad>", "<unk>", "<user>", "<assistant>", "<end>", "<image>", "<video>"]
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<end>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def _id(words: PreTrainedTokenizerFast, token: str) -> int:
    found = words.convert_tokens_to_ids(token)
    assert isinstance(found, int), "one token has one id"
    return found


def tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """Words and marks; `named` ones are attributes of the tokenizer, as some processors want."""
    marks = ("<|user|>", "<|assistant|>", "<|system|>", *more, *named.values())
    tokens = list(dict.fromkeys([*SPECIAL, *marks, *WORDS]))
    ids = {token: number for number, token in enumerate(tokens)}
    made = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    made.pre_tokenizer = Split(Regex(r"<[^>]+>|[\w-]+|[^\w\s]"), "removed", invert=True)
    special = [token for token in tokens if token.startswith("<") and token != "<end>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        extra_special_tokens=named or special[2:],
    )


def _saved(model: Any, processor: Any, folder: Path) -> Path:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_llava_onevision(folder: Path) -> Path:
    torch.manual_seed(0)
    words = tokenizer()
    grid = [[16, 16], [16, 32], [32, 16], [32, 32]]
    vision = SiglipVisionConfig(
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
        vision_use_head=False,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=Qwen2Config(vocab_size=len(words), **TEXT),
        image_token_index=_id(words, "<image>"),
        video_token_index=_id(words, "<video>"),
        image_grid_pinpoints=grid,
    )
    size = {"height": 16, "width": 16}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grid),
        tokenizer=words,
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _saved(LlavaOnevisionForConditionalGeneration(config), processor, folder)


def save_qwen2_vl(folder: Path) -> Path:
    torch.manual_seed(1)
    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(*marks)
    ids = [_id(words, mark) for mark in marks]
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(words),
            **TEXT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 1,
            "embed_dim": 8,
            "num_heads": 2,
            "hidden_size": 16,
            "patch_size": 4,
            "mlp_ratio": 2,
        },
        vision_start_token_id=ids[0],
        vision_end_token_id=ids[1],
        image_token_id=ids[2],
        video_token_id=ids[3],
    )
    size = {"shortest_edge": 64, "longest_edge": 32 * 32}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=4, size=size),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(patch_size=4, size=size),
        chat_template=TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return _saved(Qwen2VLForConditionalGeneration(config), processor, folder)


def save_internvl(folder: Path) -> Path:
    torch.manual_seed(2)
    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = InternVLConfig(
        vision_config={
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "image_size": [16, 16],
            "patch_size": [4, 4],
        },
        text_config={"model_type": "qwen2", "vocab_size": len(words), **TEXT},
        image_token_id=_id(words, "<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    size = {"height": 16, "width": 16}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=words,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE", "<IMG_CONTEXT>"),
    )
    return _saved(InternVLForConditionalGeneration(config), processor, folder)


def save_smolvlm(folder: Path) -> Path:
    torch.manual_seed(3)
    marks = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    places = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    words = tokenizer(*marks, *places)
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 12,
            "intermediate_size": 20,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 4,
        },
        text_config={"model_type": "llama", "vocab_size": len(words), "pad_token_id": 0, **TEXT},
        image_token_id=_id(words, "<image>"),
        scale_factor=2,
    )
    size = {"longest_edge": 32}
    most = {"longest_edge": 16}
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=most),
        tokenizer=words,
        video_processor=SmolVLMVideoProcessor(size=size, max_image_size=most),
        image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _saved(SmolVLMForConditionalGeneration(config), processor, folder)
