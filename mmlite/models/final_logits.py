"""What an architecture makes of its head's logits: nothing, or it scales them, or caps them softly.

The most likely token stays the same; losses, samples and probabilities do not.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

_FACTORS = ("logit_scale", "lm_head_multiplier")
"""Fields of configurations that logits are multiplied by: Cohere, Falcon-H1."""

_DIVISORS = ("logits_scaling",)
"""Fields that logits are divided by: Granite."""

_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Fields that logits are kept below: Gemma, RecurrentGemma."""

_TOLERANCE = 1e-2
"""Largest difference, as a share of the largest logit, that types of few digits account for."""


@dataclass(frozen=True, slots=True)
class FinalLogits:
    """From the head's logits to those of the model.

    Attributes:
        factor: They are multiplied by it.
        divisor: They are divided by it.
        cap: They are kept between it and its negative, by a hyperbolic tangent; None: they are not.
    """

    factor: float = 1.0
    divisor: float = 1.0
    cap: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether they stay what they are."""
        return self == FinalLogits()

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the model's logits, in the order of the operations of transformers."""
        if self.factor != 1.0:
            logits = logits * self.factor
        if self.divisor != 1.0:
            logits = logits / self.divisor
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        return logits


def final_logits(config: Any) -> FinalLogits:
    """Return what a configuration of a causal language model says of its logits."""

    def told(names: tuple[str, ...]) -> float | None:
        found = [value for name in names if (value := getattr(config, name, None))]
        return float(found[0]) if found else None

    return FinalLogits(told(_FACTORS) or 1.0, told(_DIVISORS) or 1.0, told(_CAPS))


def check_final_logits(model: PreTrainedModel) -> None:
    """Measure that a model's logits are what `final_logits` makes of its head's.

    Raises:
        ValueError: If they are not, and it would be trained and sampled from wrongly.
    """
    head: Any = model.get_output_embeddings()
    if head is None or head.weight.is_meta:
        return
    is_trained = model.training
    with torch.no_grad():
        is_known = _is_as_told(head, model.eval())
    model.train(is_trained)
    if not is_known:
        raise ValueError(
            f"language: got the architecture {model.config.model_type}, whose logits are not those "
            "of its head, allowed: one that leaves them as they are, or scales or caps them by "
            f"{', '.join((*_FACTORS, *_DIVISORS, *_CAPS))}; take another"
        )


def _is_as_told(head: Any, model: PreTrainedModel) -> bool:
    try:
        hidden, logits = _made_up(head, model)
        expected = final_logits(model.config)(head(hidden).float())
    except (RuntimeError, AttributeError):  # a body of another width, or a model without one
        return False
    if not isinstance(logits, Tensor) or logits.shape != expected.shape:
        return False
    # Weights that are not loaded yet may be anything, also no numbers, on both sides.
    known = expected[expected.isfinite()]
    near = _TOLERANCE * float(known.abs().max()) if len(known) else 0.0
    return torch.allclose(logits.float(), expected, rtol=0.0, atol=near + 1e-8, equal_nan=True)


@no_type_check  # the suite would check its fields, where a GPU's tensors are no `FloatTensor`
class _Hidden(BaseModelOutputWithPast):
    """What a body returns, whatever else is asked of it."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def _made_up(head: Any, model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Return hidden states, and a model's own logits of them.

    The states are made up, and given to it in place of its body's, which saves running that; where
    a model calls a part of its body alone, it is run.
    """
    body: Any = model.base_model
    places = torch.arange(2 * head.weight.shape[1], dtype=torch.float32)
    hidden = torch.sin(places).view(1, 2, -1).to(head.weight)
    called = []

    def made_up(*args: Any, **kwargs: Any) -> _Hidden:
        called.append(True)
        return _Hidden(last_hidden_state=hidden)

    embedded = model.get_input_embeddings()(
        torch.zeros(1, 2, dtype=torch.long, device=hidden.device)
    )
    usual = vars(body).get("forward")
    body.forward = made_up
    try:
        logits = model(inputs_embeds=embedded, use_cache=False).logits
    finally:
        del body.forward
        if usual is not None:
            body.forward = usual
    if not called:
        hidden = body(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return hidden, logits
