"""Model FLOPs of vision-language training: what must be computed, whatever a program does.

A matrix of P weights costs 2 P per token that goes through it. Forward counts once; the gradient of
its input once more, where something before it learns; the gradient of its weights once more, where
they learn themselves. What a program computes again (checkpointing) or on padding does not count.

    encoder    per tile of n patches: L (2 n (4 w^2 + 2 w m) + 4 n^2 w) + 2 n (3 p^2) w
    projector  per patch: 2 (w d + d^2)
    language   per sequence of n tokens: L (2 n (2 d q + 2 d k + 3 d m) + 2 n (n + 1) q)
    head       per row that is computed, a supervised token: 2 d V

L blocks of width w or d with m inner units; p pixels along a patch; q and k the width of all query
heads and of all key heads. A causal token looks at half of the others; looking (4 per pair and
unit of q) has no weights, so gradients that pass double it. Norms, activations and tables are left
out: they are well below one percent.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class VisionShape:
    """A vision transformer; the defaults are SigLIP so400m at 384 pixels without its last block.

    Attributes:
        width: Of a patch's features.
        layers: Blocks.
        inner: Width inside the feed-forward layers.
        patch_px: Side of a patch.
        patches: Patches of a tile.
    """

    width: int = 1152
    layers: int = 26
    inner: int = 4304
    patch_px: int = 14
    patches: int = 729

    @property
    def block_weights(self) -> int:
        """Weights of the matrices of a block."""
        return 4 * self.width**2 + 2 * self.width * self.inner

    def tile(self) -> tuple[int, int]:
        """Return the forward FLOPs of a tile: in matrices, in looking."""
        patch = 2 * self.patches * 3 * self.patch_px**2 * self.width
        looking = 4 * self.patches**2 * self.width
        return patch + self.layers * 2 * self.patches * self.block_weights, self.layers * looking


@dataclass(frozen=True)
class LanguageShape:
    """A language model of Qwen3's kind; the defaults are Qwen3-0.6B.

    Attributes:
        width: Of a token's state.
        layers: Blocks.
        inner: Width inside the feed-forward layers.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        head_dim: Width of a head.
        vocabulary: Tokens.
    """

    width: int = 1024
    layers: int = 28
    inner: int = 3072
    heads: int = 16
    kv_heads: int = 8
    head_dim: int = 128
    vocabulary: int = 151_936

    @property
    def block_weights(self) -> int:
        """Weights of the matrices of a block."""
        attention = 2 * self.width * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.width * self.inner

    def sequence(self, tokens: int) -> tuple[int, int]:
        """Return the forward FLOPs of a sequence, without the head: in matrices, in looking."""
        looking = 2 * tokens * (tokens + 1) * self.heads * self.head_dim
        return self.layers * 2 * tokens * self.block_weights, self.layers * looking

    def adapter_weights(self, rank: int) -> int:
        """Return the weights of low-rank updates of all matrices of the blocks."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.width + queries) + 2 * (self.width + keys)
        return self.layers * rank * (attention + 3 * (self.width + self.inner))


@dataclass(frozen=True)
class Work:
    """What a training step has to do.

    Attributes:
        tiles: Tiles that are encoded.
        lengths: Tokens of each sequence, padding left out.
        head_rows: Tokens that go through the head.
    """

    tiles: int
    lengths: tuple[int, ...]
    head_rows: int


def training_flops(
    work: Work,
    vision: VisionShape,
    language: LanguageShape,
    *,
    learns: Collection[str],
    adapter_rank: int = 0,
) -> float:
    """Return the model FLOPs of forward and backward.

    Args:
        work: Of the step.
        vision: The encoder.
        language: The language model.
        learns: Parts that learn: `vision`, `projector`, `language`.
        adapter_rank: Above 0, low-rank updates learn in the language model's stead.
    """
    is_whole = "language" in learns and not adapter_rank
    matrices, looking = (sum(part) for part in _columns(language.sequence(n) for n in work.lengths))
    total = matrices * (2 + is_whole) + looking * 3
    total += 2 * work.head_rows * language.width * language.vocabulary * (2 + is_whole)
    if adapter_rank:
        total += 3 * 2 * sum(work.lengths) * language.adapter_weights(adapter_rank)
    patches = work.tiles * vision.patches
    before = "vision" in learns
    if "projector" in learns:
        total += (
            2 * patches * (vision.width * language.width * (2 + before) + 3 * language.width**2)
        )
    else:
        joint = vision.width * language.width + language.width**2
        total += 2 * patches * joint * (1 + before)
    matrices, looking = vision.tile()
    return float(total + work.tiles * (matrices + looking) * (3 if before else 1))


def decoding_flops(prompt: int, written: int, language: LanguageShape) -> float:
    """Return the model FLOPs of reading a prompt and writing so many tokens after it."""
    matrices, looking = language.sequence(prompt + written)
    return float(matrices + looking + 2 * written * language.width * language.vocabulary)


def _columns(pairs: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    rows = list(pairs)
    return [row[0] for row in rows], [row[1] for row in rows]
