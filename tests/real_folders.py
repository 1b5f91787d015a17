"""Tiny models and tokenizers saved as published ones are: folders a user would name in YAML.

The chat template writes what that of Qwen/Qwen3-0.6B writes for conversations without tools: an
empty thinking block before an answer that follows the last question, no thoughts in earlier ones.
"""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_PLAIN = ["<think>", "</think>"]

QWEN3_TEMPLATE = """
{%- set ns = namespace(last_query=messages|length - 1) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}{%- set ns.last_query = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
  {%- if message.role != 'assistant' -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
  {%- else -%}
    {%- set thoughts = '' -%}{%- set content = message.content -%}
    {%- if '</think>' in content -%}
      {%- set thoughts = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] -%}
      {%- set thoughts = thoughts.lstrip('\\n') -%}
      {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if loop.index0 > ns.last_query and (loop.last or thoughts) -%}
      {{- '<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') -}}
    {%- else -%}
      {{- content -}}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\\n' -}}
  {%- if enable_thinking is defined and enable_thinking is false -%}
    {{- '<think>\\n\\n</think>\\n\\n' -}}
  {%- endif -%}
{%- endif -%}
"""


def qwen_tokenizer(template: str | None = QWEN3_TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Qwen's special tokens and no `<image>`."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=300, initial_alphabet=ByteLevel.alphabet(), special_tokens=QWEN_SPECIAL
    )
    tokenizer.train_from_iterator(["what is in the image? system user assistant\n"] * 4, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    made.add_tokens(QWEN_PLAIN)
    made.chat_template = template
    return made


def save_qwen(folder: Path, *, tied: bool = True, vocabulary_size: int = 320) -> Path:
    """Save a tiny Qwen3 with its tokenizer, as a hub folder is."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        head_dim=8,
        tie_word_embeddings=tied,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    qwen_tokenizer().save_pretrained(folder)
    return folder


SIGLIP = "vit_so400m_patch14_siglip_384"
SIGLIP_ARGS: dict[str, Any] = {
    "img_size": 42,
    "embed_dim": 24,
    "depth": 3,
    "num_heads": 2,
    "act_layer": "gelu_tanh",
}


def save_siglip(path: Path) -> Path:
    """Save weights of a shrunken SigLIP, head and all, in timm's names."""
    torch.manual_seed(1)
    encoder = timm.create_model(SIGLIP, num_classes=0, **SIGLIP_ARGS)
    save_file(encoder.state_dict(), path)
    return path
