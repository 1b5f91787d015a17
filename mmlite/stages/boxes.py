"""Vision pretraining on box scenes: which item has its centre in which patch."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.models import VisionEncoder, encode_tiles
from mmlite.nlvr.descriptions import COLOR_NAMES, PLACES, SIZE_NAMES, place_of
from mmlite.nlvr.scene import BOX_PX, BOX_STEP_PX, PICTURE_PX, SHAPES, BoxScene, Item
from mmlite.stages.base import Stage

NO_ITEM = len(SHAPES)
SIDE_PAIRS = (("left", "right"), ("top", "bottom"))
"""Opposite sides; an item touches neither, the first or the second."""

CLASSES: Mapping[str, int] = {
    "shape": len(SHAPES) + 1,
    "color": len(COLOR_NAMES),
    "size": len(SIZE_NAMES),
    "place": len(PLACES),
    "across": 3,
    "up": 3,
}
"""Classes of each head; shape has one more for no item, and the last two tell the sides touched."""


class BoxReader(nn.Module):
    """A vision encoder with one linear head per attribute, read at each patch.

    Args:
        vision: The encoder; its patches form a square grid.
    """

    def __init__(self, vision: VisionEncoder) -> None:
        super().__init__()
        self.vision = vision
        self.heads = nn.ModuleDict({name: nn.Linear(vision.dim, n) for name, n in CLASSES.items()})

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "patch class"]]:
        """Return the logits of each attribute at every patch of every box."""
        features = encode_tiles(self.vision, batch).flatten(0, 1)
        return {name: head(features) for name, head in self.heads.items()}


@final
class BoxPretraining(Stage):
    """Train a vision encoder to tell which items are where in the boxes of NLVR.

    At the patch that holds an item's centre it names shape, color, size, the item's place in its
    box and the sides it touches; at all other patches it says that there is none.
    """

    default_trainable = ("vision", "heads")

    def build(self) -> nn.Module:
        """Make the encoder and its heads.

        Raises:
            ValueError: If there is no encoder, or pictures are not cut into one tile for each box.
        """
        if self.vision is None:
            raise ValueError("model.init_args.vision: got null, allowed: a vision encoder")
        image = self.processor.image
        if (image.grid_rows, image.grid_columns) != (1, 3):
            raise ValueError(
                f"processor.image: got grid_rows {image.grid_rows}, grid_columns "
                f"{image.grid_columns}, allowed: 1 and 3, one tile for each box of a picture"
            )
        return BoxReader(self.vision())

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the summed cross entropy of all attributes, and the number of items."""
        logits, targets, items = self._read(batch)
        total = logits["shape"].new_zeros(())
        if not items:  # nothing to learn, but all processes take part
            return total + sum(part.sum() for part in logits.values()) * 0, 0
        for column, name in enumerate(CLASSES):
            total = total + F.cross_entropy(logits[name], targets[:, column], reduction="sum")
        return total, items

    def measure(self, batch: Batch, prefix: str) -> dict[str, Any] | None:
        """Log the loss, and the share of items with every attribute right."""
        logits, targets, _ = self._read(batch)
        is_item = targets[:, 0] < NO_ITEM
        right = is_item.clone()
        for column, name in enumerate(CLASSES if len(targets) else ()):
            right &= logits[name].argmax(-1) == targets[:, column]
        total, count = self.loss(batch)
        self.log_mean(f"{prefix}/loss", total, count)
        self.log_mean(f"{prefix}/item_accuracy", right.sum(), count)
        return None

    def _read(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, int]:
        """Return logits, targets, and the number of items among these."""
        reader = self.built
        assert isinstance(reader, BoxReader), "made by build"
        side = round(reader.vision.num_patches**0.5)
        targets = box_targets(batch, side)
        # Counted without asking a device, which planning a run has none of.
        items = len(_classes_by_patch(batch, side))
        return self.built(batch), targets.to(batch.pixels.device), items


def box_targets(batch: Batch, side: int) -> Int[Tensor, "patch 6"]:
    """Return the class index of each attribute at every patch of every box of a batch.

    Patches without an item's centre have nothing but the class for no item. Of several centres in
    one patch the first item's counts. A process's empty share of a batch has no patches.

    Args:
        batch: With its Examples.
        side: Patches along each side of a tile.

    Raises:
        ValueError: If the batch has no Examples, or one without a box scene.
    """
    if not batch.examples and batch.num_supervised:
        raise ValueError(
            "data: got batches without their Examples, whose scenes are learnt, allowed: "
            "data_modules.SceneData"
        )
    side_by_side = len(batch.examples) * 3 * side * side
    targets = [[NO_ITEM, *[IGNORE_INDEX] * (len(CLASSES) - 1)] for _ in range(side_by_side)]
    for patch, classes in _classes_by_patch(batch, side).items():
        targets[patch] = list(classes)
    return torch.tensor(targets, dtype=torch.long).reshape(-1, len(CLASSES))


def _classes_by_patch(batch: Batch, side: int) -> dict[int, Sequence[int]]:
    """Return the classes of the item at each patch that has one, by its number in the batch."""
    found: dict[int, Sequence[int]] = {}
    for number, example in enumerate(batch.examples):
        if example.scene is None or "boxes" not in example.scene:
            raise ValueError(
                f"{example.source} row {example.row} ({example.id}): got no box scene, allowed: "
                "sources that know it, such as data_modules.sources.NLVR"
            )
        for box, items in enumerate(BoxScene.from_json(example.scene).boxes):
            for item in items:
                row, column = _patch(item, box, side)
                found.setdefault(((number * 3 + box) * side + row) * side + column, _classes(item))
    return found


def _patch(item: Item, box: int, side: int) -> tuple[int, int]:
    """Return row and column of the patch in which an item's centre lies, in its box's tile."""
    tile_px = PICTURE_PX / 3
    x = box * (BOX_STEP_PX - tile_px) + item.x + item.width / 2
    y = item.y + item.width / 2
    return min(side - 1, int(y * side / BOX_PX)), min(side - 1, int(x * side / tile_px))


def _classes(item: Item) -> tuple[int, ...]:
    across, up = (
        next((number for number, side in enumerate(pair, start=1) if side in item.touching), 0)
        for pair in SIDE_PAIRS
    )
    return (
        SHAPES.index(item.shape),
        COLOR_NAMES.index(item.color),
        SIZE_NAMES.index(item.size),
        PLACES.index(place_of(item)),
        across,
        up,
    )
