"""One set of random weights, saved for both ways to train: transformers' LLaVA, and mmlite's parts.

FOLDER/llava is a `LlavaForConditionalGeneration`, FOLDER/language and FOLDER/vision are the models
inside it, and FOLDER/projector.safetensors its projector under mmlite's names. Where weights are
large, the first folder is enough: mmlite's parts take theirs from it.
"""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import SiglipVisionModel

from benchmarks.training.mix import SPECIAL, word_tokenizer
from benchmarks.training.shapes import (
    FEATURE_LAYER,
    Shape,
    text_config,
    text_fields,
    vision_config,
)
from mmlite.chat import ChatTemplate
from mmlite.images import ImageTransform
from mmlite.models import (
    MLPProjector,
    NewLanguageModel,
    PretrainedLanguageModel,
    TimmVision,
    VisionEncoder,
)
from mmlite.models.uninitialized import loaded_without_drawing
from mmlite.processor import Processor
from mmlite.stages.weights import load_part

PROJECTOR_NAMES = {"layers.0": "linear_1", "layers.2": "linear_2"}

ENCODER = "vit_so400m_patch14_siglip_384"
"""SigLIP in timm; a shape gives it other sizes."""


def new_llava(shape: Shape) -> Any:
    """Draw the weights of transformers' model."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=vision_config(shape),
        text_config=text_config(shape),
        image_token_index=SPECIAL.index("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=FEATURE_LAYER,
        image_seq_length=shape.image_tokens,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config)


def save_parts(folder: Path, shape: Shape) -> None:
    """Draw weights and save them for both ways to train."""
    from transformers import Qwen3ForCausalLM

    llava = new_llava(shape)
    llava.save_pretrained(folder / "llava")
    language = Qwen3ForCausalLM(text_config(shape))
    language.model.load_state_dict(llava.model.language_model.state_dict())
    language.tie_weights()
    language.save_pretrained(folder / "language")
    llava.model.vision_tower.save_pretrained(folder / "vision")
    state = llava.model.multi_modal_projector.state_dict()
    renamed = {
        f"{ours}.{kind}": state[f"{theirs}.{kind}"]
        for ours, theirs in PROJECTOR_NAMES.items()
        for kind in ("weight", "bias")
    }
    save_file(renamed, folder / "projector.safetensors")


def save_llava(folder: Path, shape: Shape, device: str) -> None:
    """Draw weights on a device and save them, in bfloat16, as transformers' model alone."""
    with torch.device(device):
        llava = new_llava(shape)
    llava.to(torch.bfloat16).save_pretrained(folder)


def load_llava(
    folder: Path,
    *,
    learns: Collection[str] = ("projector", "language"),
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Load transformers' model; the parts that do not learn are frozen."""
    from transformers import LlavaForConditionalGeneration

    llava = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    model = llava.model
    model.vision_tower.requires_grad_("vision" in learns)
    model.multi_modal_projector.requires_grad_("projector" in learns)
    model.language_model.requires_grad_("language" in learns)
    llava.lm_head.requires_grad_("language" in learns)
    return llava


class SavedSiglip(VisionEncoder):
    """The vision encoder that transformers' model has, up to the same layer."""

    is_published = True

    def __init__(self, folder: Path, shape: Shape) -> None:
        super().__init__()
        self.encoder = SiglipVisionModel.from_pretrained(folder / "vision", dtype=torch.float32)
        self.num_patches = shape.image_tokens
        self.dim = shape.vision_hidden

    def forward(
        self, pixels: Float[Tensor, "tile channel height width"]
    ) -> Float[Tensor, "tile patch vision_dim"]:
        """Return the features of the layer that is asked for."""
        return self.encoder(pixels, output_hidden_states=True).hidden_states[FEATURE_LAYER]


def saved_projector(folder: Path, vision_dim: int, text_dim: int) -> MLPProjector:
    """Return the projector with the saved weights."""
    projector = MLPProjector(vision_dim, text_dim)
    projector.load_state_dict(load_file(folder / "projector.safetensors"))
    return projector


def saved_parts(folder: Path, shape: Shape) -> dict[str, Any]:
    """Return how a stage builds the parts that `save_parts` saved."""
    return {
        "language": partial(PretrainedLanguageModel, name=str(folder / "language")),
        "vision": partial(SavedSiglip, folder, shape),
        "projector": partial(saved_projector, folder),
    }


def fresh_parts(weights: Path, shape: Shape, *, attention: str = "sdpa") -> dict[str, Any]:
    """Return how a stage builds a model as `experiments/parts/` does, with saved weights.

    Args:
        weights: From `save_llava`.
        shape: Of the model.
        attention: Of the language model.
    """
    vision = shape.vision
    sizes = {
        "img_size": shape.image_px,
        "patch_size": shape.patch_px,
        "embed_dim": vision.width,
        "depth": shape.vision_layers,
        "num_heads": shape.vision_heads,
        "mlp_ratio": (vision.inner + 0.5) / vision.width,  # timm rounds the product down
        "act_layer": "gelu_tanh",
    }
    build = {
        "language": partial(NewLanguageModel, config=text_fields(shape), attention=attention),
        "vision": partial(TimmVision, ENCODER, feature_layer=FEATURE_LAYER, model_args=sizes),
        "projector": MLPProjector,
    }
    return {name: partial(_loaded, name, weights, make) for name, make in build.items()}


def _loaded(part: str, weights: Path, build: Callable[..., nn.Module], *sizes: int) -> nn.Module:
    """Build a part with saved weights; drawing others first would take seconds."""

    def make() -> nn.Module:
        module = build(*sizes)
        found = load_part(module, part, str(weights))
        assert not found.missing, f"{part}: {', '.join(found.missing[:4])}"
        return module

    # A language model is drawn: what it makes of its head's logits is measured when it is built.
    return make() if part == "language" else loaded_without_drawing(make)


def build_processor(shape: Shape) -> Processor:
    """Return the processor that both ways share: tokens, labels and pixels are the same."""
    half = (0.5, 0.5, 0.5)
    return Processor(
        word_tokenizer(shape.vocabulary),
        chat=ChatTemplate(
            user_start="<|im_start|>user\n",
            user_end="<|im_end|>\n",
            assistant_start="<|im_start|>assistant\n",
            assistant_end="<|im_end|>\n",
        ),
        image=ImageTransform(size_px=shape.image_px, mean=half, std=half),
        tokens_per_tile=shape.image_tokens,
        max_tokens=4096,
    )
