"""Any causal language model of transformers as a reasoner, through our own decoding engine."""

from mmlite.chat import TokenizerTemplate
from mmlite.generation import Decoding, Engine
from mmlite.interop.models import PublishedModel, check_settings, find_device
from mmlite.models import PretrainedLanguageModel, VisionLanguageModel
from mmlite.models.published_language import published_dtype
from mmlite.processor import Processor
from mmlite.tokenizers import pretrained_tokenizer


class CausalModel(PublishedModel):
    """A causal language model of transformers: Qwen3, Llama, Gemma and more; it may reason.

    It is asked with its tokenizer's own chat template and decoded by our engine. Code from the
    checkpoint is never run.

    Args:
        name: Local folder or Hugging Face name, such as `Qwen/Qwen3-4B`.
        thinking: Told to templates that know thinking, such as Qwen3's.
        dtype: Type of the weights: `auto` as published, `float32`, `bfloat16` or `float16`.
        attention: Attention implementation, such as `sdpa` or `eager`.
        device: Where it runs; `auto` takes a GPU if there is one.
        system: System turn of conversations that have none; empty for none.
        max_tokens: Longest prompt, in tokens.
        max_batch_tokens: Most tokens of a batch, answers included.
        decoding: How it writes; null takes the study's.
    """

    sees_images = False

    def __init__(
        self,
        name: str,
        *,
        thinking: bool = False,
        dtype: str = "auto",
        attention: str = "sdpa",
        device: str = "auto",
        system: str = "",
        max_tokens: int = 32768,
        max_batch_tokens: int = 16384,
        decoding: Decoding | None = None,
    ) -> None:
        super().__init__(decoding=decoding)
        check_settings(name, dtype=dtype, attention=attention, device=device)
        if min(max_tokens, max_batch_tokens) < 1:
            raise ValueError(
                f"max_tokens, max_batch_tokens: got {max_tokens}, {max_batch_tokens}, allowed: 1 "
                "or more each"
            )
        if decoding is not None and decoding.thinking is not None and not thinking:
            raise ValueError(
                "decoding.thinking: got a budget with thinking false, by which a template such as "
                "Qwen3's closes the thought itself, allowed: thinking true; or decoding.thinking "
                "null"
            )
        self.name = name
        self.chat = TokenizerTemplate(thinking=thinking, default_system=system)
        self.dtype = dtype
        self.attention = attention
        self.device = device
        self.max_tokens = max_tokens
        self.max_batch_tokens = max_batch_tokens

    def build(self) -> Engine:
        """Load model and tokenizer."""
        published = published_dtype(self.name)  # first: it says if this is another kind of model
        tokenizer = pretrained_tokenizer(self.name)
        processor = Processor(tokenizer, chat=self.chat, max_tokens=self.max_tokens)
        dtype = self.dtype if self.dtype != "auto" else published
        language = PretrainedLanguageModel(
            processor.vocabulary_size, self.name, dtype=dtype, attention=self.attention
        )
        model = VisionLanguageModel(language, image_token_id=processor.image_token_id)
        model = model.to(find_device(self.device)).eval()
        return Engine(model, processor, max_batch_tokens=self.max_batch_tokens)
