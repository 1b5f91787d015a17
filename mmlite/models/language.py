"""Language models: any causal language model of transformers."""

from abc import ABC
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import Cache, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from mmlite.models.attention import packed_mask
from mmlite.models.final_logits import FinalLogits, check_final_logits, final_logits
from mmlite.models.positions import check_positions, learnt_positions
from mmlite.models.published_language import (
    new_language_model,
    read_language_model,
    shape_language_model,
)
from mmlite.models.quantization import num_weights
from mmlite.models.weightless import is_weightless

DTYPES = ("float32", "bfloat16", "float16")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")
ROPE_FIELDS = ("rope_theta", "rope_scaling")
"""Taken by configurations, and kept by them under `rope_parameters`."""


class LanguageModel(nn.Module, ABC):
    """A causal language model of transformers, its body and its head called apart.

    A subclass says in `__init__` how `model` comes about; its first argument is the vocabulary
    size that the processor's tokenizer needs.

    Attributes:
        model: Of transformers.
        is_published: Whether its weights are read from where others can read them again; a run
            that does not train it leaves them out.
    """

    model: PreTrainedModel
    is_published: bool = False
    _is_causal: bool | None = None  # private, since fingerprints hash public numbers
    _final_logits: FinalLogits | None = None
    _learnt_positions: tuple[int | None] | None = None

    @property
    def table(self) -> Tensor:
        """The embedding table, token x text_dim."""
        table = self.model.get_input_embeddings().weight
        assert isinstance(table, Tensor), "language models embed tokens by a table"
        return table

    @property
    def dim(self) -> int:
        """Size of a token's embedding."""
        return self.table.shape[1]

    def embed(self, input_ids: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token text_dim"]:
        """Look up token embeddings."""
        return self.model.get_input_embeddings()(input_ids)

    @property
    def learnt_positions(self) -> int | None:
        """How many positions it looks up in a table; None where it computes them."""
        if self._learnt_positions is None:
            self._learnt_positions = (learnt_positions(self.model),)
        return self._learnt_positions[0]

    @property
    def is_causal(self) -> bool:
        """Whether no token sees those behind it, as the attention of transformers says of itself.

        False where no module says so, such as where there is no attention.
        """
        if self._is_causal is None:
            told = [m.is_causal for m in self.model.modules() if hasattr(m, "is_causal")]
            self._is_causal = bool(told) and all(told)
        return self._is_causal

    def needs_mask(self, embeddings: Float[Tensor, "batch token text_dim"]) -> bool:
        """Return whether attention must be told of padding that stands behind the tokens.

        Not where it is causal; kernels are faster without a mask. Except in float32 on a GPU, where
        `sdpa` without one may leave fewer heads of keys than of queries to its slowest kernel.
        """
        is_half = embeddings.dtype != torch.float32 or torch.is_autocast_enabled(
            embeddings.device.type
        )
        is_slow = embeddings.is_cuda and not is_half
        return is_slow or not self.is_causal

    def forward(
        self,
        embeddings: Float[Tensor, "batch token text_dim"],
        attention_mask: Bool[Tensor, "batch key"] | Bool[Tensor, "batch 1 query key"] | None,
        position_ids: Int[Tensor, "batch token"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch token text_dim"]:
        """Return hidden states.

        Args:
            embeddings: Of the tokens.
            attention_mask: True where there is a token; covers the cached tokens too. Or, for each
                query, True where it sees a key. None where padding stands behind the tokens, which
                causal attention never sees, or where a row holds several examples
                (`mmlite.packing`).
            position_ids: Place of each token; where they start again, another example begins,
                which sees nothing of those before it. None counts from the first token.
            cache: Keys and values of earlier tokens, when text is written.

        Raises:
            ValueError: If its attention cannot do that.
        """
        is_packed = attention_mask is None and position_ids is not None
        self._check_use(embeddings, is_packed=is_packed)
        if cache is None and self.learnt_positions is not None:  # `Engine` looks at texts
            told = embeddings.shape[1] if position_ids is None else int(position_ids.max()) + 1
            check_positions(
                "data: got examples (or with data.init_args.budget.pad_multiple a padded row)",
                told,
                self.learnt_positions,
                "lower processor.max_tokens to it and leave out what is longer "
                "(data.init_args.bad_rows.too_long: skip)",
            )
        body = self.model.base_model
        mask: Tensor | BlockMask | None = attention_mask
        if position_ids is not None and is_packed and cache is None and self._takes_packed_mask():
            mask = packed_mask(position_ids)
        output = body(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state

    def _takes_packed_mask(self) -> bool:
        """Whether its blocks all see what `packed_mask` says, and in flex attention's form."""
        config: Any = self.model.config
        kinds = getattr(config, "layer_types", None)
        if kinds is None:
            kinds = ["other" if getattr(config, "sliding_window", None) else "full_attention"]
        is_flex = config._attn_implementation == "flex_attention"
        return is_flex and set(kinds) == {"full_attention"} and self.is_causal

    def _check_use(
        self, embeddings: Float[Tensor, "batch token text_dim"], *, is_packed: bool
    ) -> None:
        attention = str(self.model.config._attn_implementation)
        if is_packed and len(embeddings) > 1 and attention.startswith("flash"):
            # transformers lets it through, and examples of several rows see each other.
            raise ValueError(
                f"data.init_args.budget: got batches of {len(embeddings)} packed rows with "
                f"language.attention {attention}, which tells examples apart in a batch of one row "
                "alone, allowed: batch_size 1 with a larger pack_tokens; or attention sdpa, eager "
                "or flex_attention"
            )
        is_learnt = torch.is_grad_enabled() and embeddings.device.type == "cpu"
        if is_learnt and attention == "flex_attention":
            raise ValueError(
                "language.attention: got flex_attention on the CPU, which makes no gradients "
                "there, allowed: sdpa or eager; or trainer.accelerator gpu"
            )

    @property
    def head(self) -> nn.Module:
        """The head: hidden states to logits."""
        head = self.model.get_output_embeddings()
        assert head is not None, "causal language models have a head"
        return head

    def logits(self, hidden: Float[Tensor, "token text_dim"]) -> Float[Tensor, "token vocabulary"]:
        """Apply the head, and what the architecture does behind it."""
        return self.final_logits(self.head(hidden))

    @property
    def final_logits(self) -> FinalLogits:
        """From the head's logits to those of the model."""
        if self._final_logits is None:
            self._final_logits = final_logits(self.model.config)
        return self._final_logits


class NewLanguageModel(LanguageModel):
    """A language model of any transformers architecture with fresh weights.

    Args:
        vocabulary_size: Number of token ids.
        model_type: Architecture by transformers' name, such as `qwen3`.
        config: Fields of its configuration, such as `hidden_size`.
        attention: Attention implementation: `sdpa`, `eager`, or one that needs a GPU.
    """

    def __init__(
        self,
        vocabulary_size: int,
        model_type: str = "qwen3",
        config: dict[str, Any] | None = None,
        attention: str = "sdpa",
    ) -> None:
        super().__init__()
        if model_type not in CONFIG_MAPPING:
            raise ValueError(
                f"language.model_type: got {model_type!r}, allowed: an architecture of "
                "transformers, such as qwen3, llama or gemma3_text"
            )
        _check_fields(model_type, config or {})
        _check_attention(attention)
        self.model = new_language_model(
            model_type, config or {}, vocabulary_size=vocabulary_size, attention=attention
        )
        check_final_logits(self.model)


class PretrainedLanguageModel(LanguageModel):
    """A language model with published weights: a local folder or a Hugging Face name.

    Weights are read from safetensors; code from the checkpoint is never run. From a local folder,
    nothing is looked up on a network.

    Args:
        vocabulary_size: Number of token ids. Where the tokenizer has more than the model,
            embeddings and head grow to it, by rows that are the mean of the others.
        name: Local folder or Hugging Face name, such as `Qwen/Qwen3-0.6B`.
        dtype: Type of the weights, such as `float32` or `bfloat16`.
        attention: Attention implementation: `sdpa`, `eager`, or one that needs a GPU.
        revision: Commit, tag or branch on the hub; null: the newest.
    """

    is_published = True

    def __init__(
        self,
        vocabulary_size: int,
        name: str,
        dtype: str = "float32",
        attention: str = "sdpa",
        revision: str | None = None,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(f"language.dtype: got {dtype!r}, allowed: {', '.join(DTYPES)}")
        _check_attention(attention)
        settings = {"dtype": dtype, "attention": attention, "revision": revision}
        if is_weightless():
            self.model = shape_language_model(name, vocabulary_size, **settings)
            return
        self.model = read_language_model(name, **settings)
        check_final_logits(self.model)
        if vocabulary_size > self.table.shape[0]:
            self._grow(vocabulary_size)

    def _grow(self, vocabulary_size: int) -> None:
        """Add rows to embeddings and head, the mean of those that were there."""
        known = self.table.shape[0]
        self.model.resize_token_embeddings(vocabulary_size, mean_resizing=False)
        head = self.model.get_output_embeddings()
        tables = [self.table] if head is None else [self.table, head.weight]
        with torch.no_grad():
            for table in tables:
                assert isinstance(table, Tensor), "embeddings and heads are tables"
                table[known:] = table[:known].float().mean(dim=0).to(table.dtype)


def _check_attention(attention: str) -> None:
    if attention not in ATTENTIONS:
        raise ValueError(f"language.attention: got {attention!r}, allowed: {', '.join(ATTENTIONS)}")


def _check_fields(model_type: str, config: Mapping[str, Any]) -> None:
    """Refuse fields that the configuration does not have; transformers keeps and ignores them."""
    known = {*CONFIG_MAPPING[model_type]().to_dict(), *ROPE_FIELDS}
    if unknown := sorted(set(config) - known):
        near = {n for name in unknown for n in get_close_matches(name, known, n=3)}
        raise ValueError(
            f"language.config: got {', '.join(unknown)}, allowed: fields of the {model_type} "
            f"configuration, such as {', '.join(sorted(near or {'hidden_size'}))}"
        )


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, tied ones once, 4-bit ones by what they stand for."""
    return sum(num_weights(parameter) for parameter in module.parameters())


def count_non_embedding(language: LanguageModel) -> int:
    """Return the number of parameters without the embedding table and the head."""
    head = language.model.get_output_embeddings()
    tables = {id(language.table): language.table.numel()}
    if head is not None and isinstance(head.weight, Tensor):
        tables[id(head.weight)] = head.weight.numel()
    return count_parameters(language) - sum(tables.values())
