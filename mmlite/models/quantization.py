"""4-bit weights by bitsandbytes: linear layers whose frozen weights are stored quantised."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

FloatName = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Quantization:
    """How frozen weights are stored in 4 bits (QLoRA, arXiv:2305.14314, sec. 3).

    Attributes:
        kind: Code book: `nf4` is made for normally distributed weights, `fp4` is a float of 4 bits.
        double: Whether the scale of each block of 64 weights is itself stored in 8 bits.
        compute_dtype: Type that weights are unpacked to and multiplied in.
        storage_dtype: Type the packed bits are kept as; it changes no value.
    """

    kind: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    compute_dtype: FloatName = "bfloat16"
    storage_dtype: Literal["uint8", "float32", "bfloat16", "float16"] = "uint8"


def quantize(root: nn.Module, names: Iterable[str], settings: Quantization) -> None:
    """Replace linear layers by layers with 4-bit weights.

    Args:
        root: Holds the layers; changed in place.
        names: Of the layers within `root`.
        settings: How.
    """
    for name in list(names):
        layer = root.get_submodule(name)
        assert isinstance(layer, nn.Linear), "only linear layers are named"
        root.set_submodule(name, _quantized(layer, settings))


def _quantized(layer: nn.Linear, settings: Quantization) -> nn.Module:
    import bitsandbytes

    layers: Any = bitsandbytes.nn  # it names no exports

    storage = getattr(torch, settings.storage_dtype)
    with torch.device("meta"):  # its weights are given below
        made: Any = layers.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=getattr(torch, settings.compute_dtype),
            compress_statistics=settings.double,
            quant_type=settings.kind,
            quant_storage=storage,
        )
    weight: Any = layers.Params4bit(
        layer.weight.detach(),
        requires_grad=False,
        compress_statistics=settings.double,
        quant_type=settings.kind,
        quant_storage=storage,
        module=made,
    )
    made.weight = weight.to(layer.weight.device)  # quantises
    made.bias = layer.bias
    # On CPUs with AVX512-BF16 bitsandbytes 0.50 repacks the weights when a model is evaluated, with
    # scales rounded to bfloat16, and gives no gradient from then on: a run that validates would
    # train wrongly, and its base would not stay what it was.
    made.support_avx512bf16_for_cpu = False
    return made


def is_quantized(layer: nn.Module) -> bool:
    """Return whether a layer has 4-bit weights of its own."""
    own = dict(layer.named_parameters(recurse=False)).get("weight")
    return getattr(own, "quant_state", None) is not None


def packed_layers(module: nn.Module) -> list[str]:
    """Return the names of the layers with 4-bit weights within a module."""
    return [name for name, layer in module.named_modules() if is_quantized(layer)]


def unpacked(layer: nn.Module) -> Float[Tensor, "out_dim in_dim"]:
    """Return the weights of a linear layer as float32, whether they are quantised or not."""
    weight: Any = layer.weight
    if not is_quantized(layer):
        return weight.detach().float()
    from bitsandbytes.functional import dequantize_4bit

    state = weight.quant_state
    kept, state.dtype = state.dtype, torch.float32
    try:
        return dequantize_4bit(weight.detach(), state)
    finally:
        state.dtype = kept


def compute_in_float32(root: nn.Module) -> None:
    """Turn a module's weights into float32, and let packed ones unpack to it; for comparisons."""
    for layer in root.modules():
        for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
            # Packed bits may be kept as floats, but are none.
            if tensor.is_floating_point() and getattr(tensor, "quant_state", None) is None:
                tensor.data = tensor.data.float()
        if is_quantized(layer):
            quantized: Any = layer
            quantized.compute_dtype = torch.float32
            quantized.weight.quant_state.dtype = torch.float32


def num_weights(parameter: nn.Parameter) -> int:
    """Return how many weights a parameter stands for, which packed ones hide."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else state.shape.numel()


def dtype_name(parameter: nn.Parameter) -> str:
    """Return a parameter's type: that of its numbers, or the code book of its 4 bits."""
    if getattr(parameter, "quant_state", None) is None:
        return str(parameter.dtype).removeprefix("torch.")
    quantized: Any = parameter
    return quantized.quant_type
