"""Names of weights in published checkpoints, by part of our models.

A layout is a list of rules: a prefix in the file, the part it belongs to, and the prefix that the
part's module has. The first rule that fits a name counts. Layouts are told apart by a name that
only one of them has.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

SIGLIP = "siglip:"
"""Marks names that come under transformers' names of SigLIP and are converted to timm's."""


class Rule(NamedTuple):
    """One prefix.

    Attributes:
        prefix: In the file.
        part: Part it belongs to; empty for what no part of ours has.
        ours: Prefix in the part.
    """

    prefix: str
    part: str
    ours: str


@dataclass(frozen=True)
class Layout:
    """How one program names its weights.

    Attributes:
        name: For messages.
        marks: Prefixes of names, one of which must be there.
        rules: From the file's names to a part's.
    """

    name: str
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]

    def place(self, name: str) -> tuple[str, str]:
        """Return part and name within the part; the part is empty where no rule fits."""
        for prefix, part, ours in self.rules:
            if name.startswith(prefix):
                return part, ours + name.removeprefix(prefix)
        return "", name


# `LlavaMetaModel` and `SigLipVisionTower` of LLaVA-NeXT, which arXiv:2511.17487 builds on: the
# tower is a module in a module, the last layer and the head are deleted, the layer norm is kept.
AUTHORS = Layout(
    "the layout of LLaVA-NeXT (llava_qwen_3)",
    ("model.mm_projector.", "model.vision_tower.vision_tower."),
    (
        Rule("model.vision_tower.vision_tower.vision_model.", "vision", SIGLIP),
        Rule("model.mm_projector.weight", "projector", "layer.weight"),
        Rule("model.mm_projector.bias", "projector", "layer.bias"),
        Rule("model.mm_projector.", "projector", "layers."),
        Rule("model.image_newline", "projector", "image_newline"),
        Rule("model.vision_resampler.", "", ""),
        Rule("model.", "language", "model.model."),
        Rule("lm_head.", "language", "model.lm_head."),
    ),
)

_CONNECTOR = (("linear_1.", "layers.0."), ("linear_2.", "layers.2."))

# In memory and in folders written by transformers 4.52 and later.
TRANSFORMERS = Layout(
    "LLaVA or LLaVA-OneVision of transformers",
    ("model.multi_modal_projector.",),
    (
        Rule("model.vision_tower.vision_model.", "vision", SIGLIP),
        Rule("model.vision_tower.", "vision", SIGLIP),
        *(Rule(f"model.multi_modal_projector.{a}", "projector", b) for a, b in _CONNECTOR),
        Rule("model.image_newline", "projector", "image_newline"),
        Rule("model.language_model.", "language", "model.model."),
        Rule("lm_head.", "language", "model.lm_head."),
    ),
)

# In folders written by earlier versions, and by later ones for the sake of those.
TRANSFORMERS_4 = Layout(
    "LLaVA or LLaVA-OneVision of transformers before 4.52",
    ("multi_modal_projector.",),
    (
        Rule("vision_tower.vision_model.", "vision", SIGLIP),
        Rule("vision_tower.", "vision", SIGLIP),
        *(Rule(f"multi_modal_projector.{a}", "projector", b) for a, b in _CONNECTOR),
        Rule("image_newline", "projector", "image_newline"),
        Rule("language_model.lm_head.", "language", "model.lm_head."),
        Rule("language_model.model.", "language", "model.model."),
        Rule("language_model.", "language", "model.model."),
    ),
)

SIGLIP_TOWER = Layout(
    "SigLIP of transformers",
    ("vision_model.embeddings.", "embeddings.patch_embedding."),
    (
        Rule("vision_model.", "vision", SIGLIP),
        Rule("embeddings.", "vision", f"{SIGLIP}embeddings."),
        Rule("encoder.", "vision", f"{SIGLIP}encoder."),
        Rule("post_layernorm.", "vision", f"{SIGLIP}post_layernorm."),
        Rule("head.", "vision", f"{SIGLIP}head."),
        Rule("text_model.", "", ""),
        Rule("logit_", "", ""),
    ),
)

TIMM = Layout(
    "an encoder of timm",
    ("patch_embed.", "stem."),
    (Rule("", "vision", "encoder."),),
)

CAUSAL = Layout(
    "a causal language model of transformers",
    ("model.embed_tokens.", "transformer.", "gpt_neox."),
    (Rule("", "language", "model."),),
)

LAYOUTS = (AUTHORS, TRANSFORMERS, TRANSFORMERS_4, SIGLIP_TOWER, TIMM, CAUSAL)
"""Every layout of other programs that is known; the first whose mark is found counts."""


def find_layout(names: Iterable[str]) -> Layout | None:
    """Return the layout of another program's checkpoint, or None if it is of no known one.

    Args:
        names: Of its tensors.
    """
    given = list(names)
    for layout in LAYOUTS:
        if any(name.startswith(layout.marks) for name in given):
            return layout
    return None
