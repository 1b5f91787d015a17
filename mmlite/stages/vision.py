"""Vision pretraining: what is at each place of a micro-world picture."""

from collections.abc import Mapping
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.microworld.scene import COLORS, DIGITS, PLACES, SHAPES, SIZES, Scene
from mmlite.models import VisionEncoder, encode_tiles, merge_patches
from mmlite.stages.base import Stage

NO_OBJECT = len(SHAPES)
NO_DIGIT = len(DIGITS)

CLASSES: Mapping[str, int] = {
    "shape": len(SHAPES) + 1,
    "color": len(COLORS),
    "size": len(SIZES),
    "digit": len(DIGITS) + 1,
    "place": len(PLACES),
}
"""Classes of each head; shape and digit have one more for nothing there."""


class SceneReader(nn.Module):
    """A vision encoder with one linear head per attribute, read at each of the nine places.

    Args:
        vision: The encoder; its patch grid is merged to 3 x 3.
    """

    def __init__(self, vision: VisionEncoder) -> None:
        super().__init__()
        side = round(vision.num_patches**0.5)
        if side**2 != vision.num_patches or side % 3:
            raise ValueError(
                f"model.vision: got {vision.num_patches} patches, allowed: a square grid whose "
                "side is a multiple of 3, one square for each place of a scene"
            )
        self.vision = vision
        self.shuffle = side // 3
        dim = vision.dim * self.shuffle**2
        self.heads = nn.ModuleDict({name: nn.Linear(dim, n) for name, n in CLASSES.items()})

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "place class"]]:
        """Return the logits of each attribute at every place of every picture."""
        merged = merge_patches(encode_tiles(self.vision, batch), self.shuffle)
        merged = merged.flatten(0, 1)
        return {name: head(merged) for name, head in self.heads.items()}


@final
class VisionPretraining(Stage):
    """Train a vision encoder to tell what is where: the stand-in for a pretrained SigLIP.

    At each place it names shape (or nothing), color, size, digit (or none) and the place itself.
    The place head keeps positions linearly readable, which small language models need.
    """

    default_trainable = ("vision", "heads")

    def build(self) -> nn.Module:
        """Make the encoder and its heads."""
        if self.vision is None:
            raise ValueError("model.init_args.vision: got null, allowed: a vision encoder")
        return SceneReader(self.vision())

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the summed cross entropy of all attributes, and the number of places."""
        logits = self.built(batch)
        targets = scene_targets(batch).to(batch.pixels.device)
        total = logits["shape"].new_zeros(())
        if not len(targets):  # nothing to learn, but all processes take part
            return total + sum(part.sum() for part in logits.values()) * 0, 0
        for column, name in enumerate(CLASSES):
            total = total + F.cross_entropy(logits[name], targets[:, column], reduction="sum")
        return total, len(targets)

    def measure(self, batch: Batch, prefix: str) -> dict[str, Any] | None:
        """Log the loss, and the share of places with every attribute right."""
        targets = scene_targets(batch).to(batch.pixels.device)
        logits = self.built(batch)
        right = torch.ones(len(targets), dtype=torch.bool, device=targets.device)
        for column, name in enumerate(CLASSES if len(targets) else ()):
            target = targets[:, column]
            right &= (logits[name].argmax(-1) == target) | (target == IGNORE_INDEX)
        total, count = self.loss(batch)
        self.log_mean(f"{prefix}/loss", total, count)
        self.log_mean(f"{prefix}/place_accuracy", right.sum(), count)
        return None


def scene_targets(batch: Batch) -> Int[Tensor, "place 5"]:
    """Return class indices of every place: shape, color, size, digit, place.

    Places without an object have no color, size or digit, which is not learnt there. A process's
    empty share of a batch, whose row counts for nothing, has none.

    Raises:
        ValueError: If the batch has no Examples, or one without a scene.
    """
    if not batch.examples and batch.num_supervised:
        raise ValueError(
            "data: got batches without their Examples, whose scenes are learnt, allowed: "
            "data_modules.SceneData"
        )
    rows = []
    for example in batch.examples:
        if example.scene is None:
            raise ValueError(
                f"{example.source} row {example.row} ({example.id}): got no scene, allowed: "
                "sources that know it, such as the micro-world"
            )
        scene = Scene.from_json(example.scene)
        for index, place in enumerate(PLACES):
            obj = scene.at(place)
            if obj is None:
                rows.append((NO_OBJECT, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX, index))
                continue
            digit = NO_DIGIT if obj.digit is None else DIGITS.index(obj.digit)
            shape, color = SHAPES.index(obj.shape), COLORS.index(obj.color)
            rows.append((shape, color, SIZES.index(obj.size), digit, index))
    return torch.tensor(rows, dtype=torch.long).reshape(-1, len(CLASSES))
