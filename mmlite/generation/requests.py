"""What is asked of the decoding engine, and what comes back."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from mmlite.records import ImageRef, Turn

LEAST_TEMPERATURE = 1e-3
"""Below, logits divided by it may be infinite; the likeliest token is taken anyway."""


@dataclass(frozen=True, slots=True)
class Request:
    """A conversation that a model goes on with.

    Attributes:
        turns: The conversation; the answer of an assistant comes next.
        images: One per `<image>` in the turns.
    """

    turns: tuple[Turn, ...]
    images: tuple[ImageRef, ...] = ()


@dataclass(frozen=True)  # no slots: the command line reads defaults with vars()
class Thinking:
    """How a model that thinks first is kept to a budget (arXiv:2511.17487, supplement).

    Each row has its own budget, and nothing is changed once its thought has ended.

    Attributes:
        max_tokens: Longest thought, in tokens, its end included; there it is made to end.
        end: Text that ends a thought.
        before_end: Text that is written before the end when a thought is made to end.
        push_fraction: Share of the budget after which the end is made likelier, a little more with
            each token; 1 never does.
        block_reflexive: Whether single words that reopen a thought, such as "wait", are never
            written in it (NoWait, arXiv:2506.08343, sec. 3).
    """

    max_tokens: int = 4096
    end: str = "</think>"
    before_end: str = "\n"
    push_fraction: float = 0.95
    block_reflexive: bool = False

    def __post_init__(self) -> None:
        problems = []
        if self.max_tokens < 1:
            problems.append(f"max_tokens: got {self.max_tokens}, allowed: 1 or more")
        if not self.end:
            problems.append("end: got an empty text, allowed: what ends a thought, as </think>")
        if not 0 <= self.push_fraction <= 1:
            problems.append(f"push_fraction: got {self.push_fraction}, allowed: 0 to 1 (never)")
        if problems:
            raise ValueError("decoding.thinking: " + "; ".join(problems))


@dataclass(frozen=True)  # no slots: the command line reads defaults with vars()
class Decoding:
    """How the next token is chosen.

    Attributes:
        max_new_tokens: Longest text, in tokens, its end and any thought included.
        temperature: Of sampling; 0 takes the likeliest token.
        top_p: Sample from the likeliest tokens that together have this probability.
        top_k: Sample from so many likeliest tokens; 0: from all.
        seed: Of sampling; a request's draws depend on it and on the request alone.
        thinking: Budget of the thought that comes before the answer; null leaves it alone.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    thinking: Thinking | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.max_new_tokens < 1:
            problems.append(f"max_new_tokens: got {self.max_new_tokens}, allowed: 1 or more")
        is_warm = isfinite(self.temperature) and self.temperature >= LEAST_TEMPERATURE
        if not (self.temperature == 0 or is_warm):
            problems.append(
                f"temperature: got {self.temperature}, allowed: 0, or {LEAST_TEMPERATURE} or more"
            )
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: got {self.top_p}, allowed: above 0, at most 1 (all)")
        if self.top_k < 0:
            problems.append(f"top_k: got {self.top_k}, allowed: 0 (all) or more")
        if self.thinking is not None and self.max_new_tokens <= self.thinking.max_tokens:
            problems.append(
                f"max_new_tokens: got {self.max_new_tokens}, allowed: more than "
                f"thinking.max_tokens {self.thinking.max_tokens}, or no answer can follow"
            )
        if problems:
            raise ValueError("decoding: " + "; ".join(problems))

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature == 0

    def to_json(self) -> dict[str, Any]:
        """Return what decides the outcome; settings of sampling only where there is sampling."""
        settings = {"max_new_tokens": self.max_new_tokens} if self.is_greedy else asdict(self)
        settings.pop("thinking", None)
        return (
            settings if self.thinking is None else {**settings, "thinking": asdict(self.thinking)}
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model wrote.

    Attributes:
        text: Without special tokens.
        token_ids: Without the token that ended it.
        finished: False when it was cut at `max_new_tokens`.
    """

    text: str
    token_ids: tuple[int, ...]
    finished: bool
