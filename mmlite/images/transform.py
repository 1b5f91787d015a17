"""ImageTransform: an image becomes a fixed grid of tiles of one size."""

from abc import ABC
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from mmlite.layout import Layout

MAX_CANVAS_PIXELS = 64_000_000
"""Largest square that an image is padded to before it is resized."""


@dataclass(frozen=True)
class ImageTransform(ABC):  # noqa: B024 - so that a YAML may name another by class_path
    """How an image becomes tiles of one size.

    The image is resized to `grid_rows` x `grid_columns` tiles of `size_px` x `size_px`, cut, and
    normalised per channel. Subclass it for another way to cut: `layout` says how many tokens an
    image of some size takes, `__call__` makes its tiles.

    Attributes:
        size_px: Width and height of a tile in pixels.
        grid_rows: Rows of tiles an image is cut into.
        grid_columns: Columns of tiles an image is cut into.
        mean: Mean per channel that is subtracted, values from 0 to 1.
        std: Standard deviation per channel that is divided by, values from 0 to 1.
        fit: `stretch` ignores the aspect ratio; `pad` keeps it and fills with the mean.
        interpolation: How pixels are resized.
    """

    size_px: int = 60
    grid_rows: int = 1
    grid_columns: int = 1
    mean: tuple[float, float, float] = (0.43, 0.43, 0.43)
    std: tuple[float, float, float] = (0.235, 0.235, 0.235)
    fit: Literal["stretch", "pad"] = "stretch"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"

    def __post_init__(self) -> None:
        if min(self.size_px, self.grid_rows, self.grid_columns) < 1:
            raise ValueError(
                f"processor.image: got size_px {self.size_px}, grid {self.grid_rows} x "
                f"{self.grid_columns}, allowed: 1 or more each"
            )

    @property
    def has_layouts(self) -> bool:
        """Whether the number of an image's tokens depends on its size."""
        return False

    @property
    def num_tiles(self) -> int:
        """Tiles of one image, where all have as many."""
        return self.grid_rows * self.grid_columns

    def layout(
        self, height: int, width: int, *, num_images: int, tokens_per_tile: int
    ) -> Layout | None:
        """Return how the tiles of an image are put together; None: one after the other.

        Args:
            height: Of the image, in pixels.
            width: Of the image, in pixels.
            num_images: Images of the same conversation.
            tokens_per_tile: Tokens that one tile takes.
        """
        return None

    def __call__(self, image: np.ndarray, layout: Layout | None = None) -> np.ndarray:
        """Cut an image into tiles.

        Args:
            image: Height x width x 3, uint8.
            layout: What `layout` returned for it.

        Returns:
            Tiles in reading order, tile x 3 x size_px x size_px, float32.
        """
        height, width = self.size_px * self.grid_rows, self.size_px * self.grid_columns
        if image.shape[:2] != (height, width):
            picture = Image.fromarray(image)
            if self.fit == "pad":
                picture = self.padded(picture, height, width)
            image = np.asarray(self.resized(picture, height, width))
        return self.cut(image, self.grid_rows, self.grid_columns)

    def resized(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        """Return a picture in another size."""
        how = Image.Resampling[self.interpolation.upper()]
        return picture.resize((width, height), how)

    def padded(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        """Return a picture in the middle of the smallest canvas with another's aspect ratio.

        The canvas is filled with the mean color. What is padded first and resized afterwards
        blends at the border, as in LLaVA (arXiv:2310.03744, sec. 3.2); a picture so narrow that
        its canvas would be huge is made smaller first.
        """
        size = _canvas(picture.size, height, width)
        if size[0] * size[1] > MAX_CANVAS_PIXELS:
            scale = min(width / picture.width, height / picture.height)
            new_height = max(1, round(picture.height * scale))
            picture = self.resized(picture, new_height, max(1, round(picture.width * scale)))
            size = (width, height)
        canvas = Image.new("RGB", size, tuple(int(255 * m) for m in self.mean))
        corner = (size[0] - picture.width) // 2, (size[1] - picture.height) // 2
        canvas.paste(picture, corner)
        return canvas

    def cut(self, image: np.ndarray, rows: int, columns: int) -> np.ndarray:
        """Normalise an image and cut it into a grid of tiles.

        Args:
            image: (rows * size_px) x (columns * size_px) x 3, uint8.
            rows: Rows of tiles.
            columns: Columns of tiles.

        Returns:
            Tiles in reading order, tile x 3 x size_px x size_px, float32.
        """
        parts = (np.asarray(part, dtype=np.float32) * 255 for part in (self.mean, self.std))
        mean, std = (part[:, None, None] for part in parts)
        grid = image.reshape(rows, self.size_px, columns, self.size_px, 3)
        # Put in order while it is bytes, and computed in place: less memory is gone through.
        tiles = grid.transpose(0, 2, 4, 1, 3).astype(np.float32, order="C")
        tiles = tiles.reshape(-1, 3, self.size_px, self.size_px)
        tiles -= mean
        tiles /= std
        return tiles


def _canvas(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Return the size of the smallest canvas around a picture, with the ratio width : height."""
    if size[0] * height >= size[1] * width:
        return size[0], max(size[1], round(size[0] * height / width))
    return max(size[0], round(size[1] * width / height)), size[1]
