"""Positions that a model has learnt one by one: beyond the last of them there is nothing."""

from torch import nn

NAMES = ("wpe", "embed_positions", "positions_embed", "position_embeddings", "position_embedding")
"""What transformers calls their table: GPT-2 and its kin, OPT, the first GPT, and others."""


def learnt_positions(model: nn.Module) -> int | None:
    """Return how many positions a language model has learnt; None where it computes them.

    Args:
        model: Of transformers.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.rsplit(".", 1)[-1] in NAMES:
            return module.num_embeddings - getattr(module, "offset", 0)  # OPT keeps two for others
    return None


def check_positions(told: str, tokens: int, learnt: int | None, remedy: str) -> None:
    """Refuse what is longer than a model's positions reach.

    Args:
        told: What is so long, beginning with its key.
        tokens: How long it is.
        learnt: From `learnt_positions`.
        remedy: What to do.

    Raises:
        ValueError: If it is longer.
    """
    if learnt is not None and tokens > learnt:
        raise ValueError(
            f"{told}, {tokens} tokens in all, with a language model that has learnt {learnt} "
            f"positions one by one, allowed: {learnt} tokens at most; {remedy}, or take a model "
            "that computes positions (rotary ones, such as Qwen3)"
        )
