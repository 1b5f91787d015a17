"""Positions that a model looks up in a table: beyond its last row there is nothing."""

from torch import nn
from transformers import PreTrainedModel

NAMES = ("wpe", "embed_positions", "positions_embed", "position_embeddings", "position_embedding")
"""What causal language models of transformers call the table: GPT-2 and its kin, OPT and others."""


def learnt_positions(model: PreTrainedModel) -> int | None:
    """Return how many positions a language model's table has; None where none is known of.

    Tables of another size than its configuration says are those of images or sounds.
    """
    said = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.rsplit(".", 1)[-1] in NAMES:
            size = module.num_embeddings - getattr(module, "offset", 0)  # OPT keeps two for others
            if size == said:
                return size
    return None


def check_positions(told: str, tokens: int, learnt: int | None, remedy: str) -> None:
    """Refuse what is longer than a model's positions reach.

    Args:
        told: What is so long, with its key.
        tokens: How long it is.
        learnt: From `learnt_positions`.
        remedy: What to do.

    Raises:
        ValueError: If it is longer.
    """
    if learnt is not None and tokens > learnt:
        raise ValueError(
            f"{told}, {tokens} tokens in all, where the language model has a table of {learnt} "
            f"positions, allowed: {learnt} tokens at most; {remedy}, or take a model that computes "
            "positions (rotary ones, such as Qwen3)"
        )
