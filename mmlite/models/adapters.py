"""Adapters: low-rank updates of frozen linear layers (LoRA, QLoRA), made by peft.

peft is imported where it is needed: it takes as long to load as all of PyTorch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmlite.models.language import LanguageModel
from mmlite.models.quantization import Quantization, is_quantized, quantize, unpacked
from mmlite.parallel import whole

NAME = "default"
"""What peft calls the one adapter that a part has."""


@dataclass(frozen=True)
class Adapter:
    """A low-rank update of one part: W x + alpha / rank * B A x, where W is frozen.

    Source: LoRA, arXiv:2106.09685, sec. 4.1; QLoRA, arXiv:2305.14314, sec. 3.

    Attributes:
        rank: Rows of A, columns of B.
        alpha: Strength of the update, divided by the rank.
        dropout: Share of the inputs of A that are dropped in training, from 0 to below 1.
        target_modules: Last names of the linear layers that get one, such as `q_proj`; null: every
            linear layer of the part but a language model's head.
        quantize: Stores the frozen linear layers in 4 bits (QLoRA); null leaves them as they are.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: list[str] | None = None
    quantize: Quantization | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.rank < 1:
            problems.append(f"rank: got {self.rank}, allowed: 1 or more")
        if self.alpha <= 0:
            problems.append(f"alpha: got {self.alpha}, allowed: above 0")
        if not 0 <= self.dropout < 1:
            problems.append(f"dropout: got {self.dropout}, allowed: 0 to below 1")
        if self.target_modules is not None and not self.target_modules:
            problems.append("target_modules: got an empty list, allowed: names of layers, or null")
        if problems:
            raise ValueError("adapters: " + "; ".join(problems))


def adapted_module(part: nn.Module) -> nn.Module:
    """Return the module of a part whose layers get adapters.

    Of a language model it is the one of transformers, so that names are those that peft and
    transformers know.
    """
    return part.model if isinstance(part, LanguageModel) else part


def add_adapter(part: nn.Module, adapter: Adapter) -> None:
    """Freeze a part, quantise it if asked to, and give its layers updates that are zero at first.

    Args:
        part: Changed in place; only the updates learn from then on.
        adapter: What to add.

    Raises:
        ValueError: If a name of `target_modules` is none of the part's linear layers.
    """
    from peft import inject_adapter_in_model

    root: Any = adapted_module(part)
    linear = linear_names(root)
    targets = _targets(linear, adapter)
    if adapter.quantize is not None:
        quantize(root, linear, adapter.quantize)
        root.is_loaded_in_4bit = True  # how peft knows
    inject_adapter_in_model(_config(adapter, targets), root, adapter_name=NAME)
    for name, parameter in root.named_parameters():
        learns = is_update(name)
        parameter.requires_grad_(learns)
        if learns:  # small, so kept exact whatever the base is stored in
            parameter.data = parameter.data.float()


def linear_names(root: nn.Module) -> list[str]:
    """Return the names of a module's linear layers, without a language model's head."""
    head = getattr(root, "get_output_embeddings", lambda: None)()
    return [
        name
        for name, layer in root.named_modules()
        if isinstance(layer, nn.Linear) and layer is not head
    ]


def adapted_layers(part: nn.Module) -> dict[str, Any]:
    """Return the layers of a part that have updates, by name."""
    modules = adapted_module(part).named_modules()
    return {name: layer for name, layer in modules if hasattr(layer, "lora_A")}


def is_update(name: str) -> bool:
    """Return whether a parameter of an adapted part belongs to an update."""
    return ".lora_" in name


def adapter_config(part: nn.Module) -> dict[str, Any]:
    """Return what peft writes into `adapter_config.json` for a part's adapter."""
    root: Any = adapted_module(part)
    return root.peft_config[NAME].to_dict()


def adapter_weights(part: nn.Module) -> dict[str, Tensor]:
    """Return the updates of a part under the names that peft writes to files.

    Those of a sharded part are gathered, for the first process alone: every process must call it.
    """
    parameters = adapted_module(part).named_parameters()
    updates = {_file_name(name): whole(tensor) for name, tensor in parameters if is_update(name)}
    return {name: tensor for name, tensor in updates.items() if tensor is not None}


def load_adapter_weights(part: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put updates into a part that has an adapter of the same form.

    Args:
        part: With an adapter.
        weights: From `adapter_weights`, or from a file of peft.

    Raises:
        ValueError: If names or shapes differ.
    """
    own = {_file_name(n): p for n, p in adapted_module(part).named_parameters() if is_update(n)}
    wrong = sorted(set(own) ^ set(weights))
    wrong += [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if wrong:
        raise ValueError(
            f"adapters: got weights that do not fit ({', '.join(wrong[:4])}), allowed: those of an "
            "adapter with the same rank and target_modules"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])


def merge_adapter(part: nn.Module, dtype: torch.dtype) -> None:
    """Put the updates into the weights: W + alpha / rank * B A, unpacked where W is quantised.

    The part has plain linear layers again.

    Args:
        part: With an adapter; changed in place.
        dtype: Type of the merged weights. The sum is made in float32.
    """
    root: Any = adapted_module(part)
    for name, layer in adapted_layers(part).items():
        base = layer.get_base_layer()
        low, high = layer.lora_A[NAME].weight, layer.lora_B[NAME].weight
        update = layer.scaling[NAME] * (high.detach().float() @ low.detach().float())
        root.set_submodule(name, _plain(unpacked(base) + update, base, dtype))
    for name, layer in list(root.named_modules()):
        if is_quantized(layer):  # without an update
            root.set_submodule(name, _plain(unpacked(layer), layer, dtype))
    for attribute in ("peft_config", "is_loaded_in_4bit"):
        if attribute in vars(root):
            delattr(root, attribute)


def _plain(weight: Tensor, base: Any, dtype: torch.dtype) -> nn.Linear:
    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=base.bias is not None)
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    if base.bias is not None:
        layer.bias = nn.Parameter(base.bias.detach().to(dtype), requires_grad=False)
    return layer


def _targets(linear: list[str], adapter: Adapter) -> list[str]:
    if adapter.target_modules is None:
        return linear
    last = {name.rsplit(".", 1)[-1] for name in linear}
    if unknown := sorted(set(adapter.target_modules) - last):
        raise ValueError(
            f"adapters.target_modules: got {', '.join(unknown)}, allowed: linear layers of the "
            f"part, {', '.join(sorted(last))}; or null for all of them"
        )
    return [name for name in linear if name.rsplit(".", 1)[-1] in adapter.target_modules]


def _config(adapter: Adapter, targets: list[str]) -> Any:
    from peft import LoraConfig

    alpha: Any = adapter.alpha  # peft divides it by the rank; fractions are fine
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets,
        bias="none",
    )


def _file_name(name: str) -> str:
    """Return the name that peft writes: without the adapter's, under its wrapper's prefix."""
    return "base_model.model." + name.replace(f".{NAME}.", ".")
