"""AnyRes: an image is seen once whole and again in tiles that fit its shape."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmlite.images.transform import ImageTransform
from mmlite.layout import Layout

REDUCED_ABOVE = 1.1
"""A map of tokens is reduced where it is so many times too long in each direction.

From the code that LLaVA-OneVision was released with (llava/model/llava_arch.py).
"""


@dataclass(frozen=True)
class AnyRes(ImageTransform):
    """One tile of the whole image, stretched, and a grid of tiles in its own aspect ratio.

    The grid is the one of up to `grid_rows` x `grid_columns` tiles that keeps most of the image's
    pixels, and of those the smallest. The image is resized to it without distortion, with black
    around it; tokens of that border are left out again, rows end in a learnt token, and a map of
    tokens that is too large is reduced (`mmlite.layout.Layout`). With several images, each is
    padded to a square with the mean color and seen once. This is `anyres_max_9` of
    LLaVA-OneVision (arXiv:2408.03326, sec. 3.2), as arXiv:2511.17487 uses it.

    Attributes:
        grid_rows: Most rows of tiles.
        grid_columns: Most columns of tiles.
        max_tiles: A map of tokens is reduced to about as many as so many tiles have.
        fit: Has no say here.
    """

    size_px: int = 384
    grid_rows: int = 6
    grid_columns: int = 6
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    max_tiles: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_tiles < 1:
            raise ValueError(f"processor.image.max_tiles: got {self.max_tiles}, allowed: 1 or more")

    @property
    def has_layouts(self) -> bool:
        """The number of an image's tokens depends on its size."""
        return True

    def layout(self, height: int, width: int, *, num_images: int, tokens_per_tile: int) -> Layout:
        """Return the grid of an image, and which part of its map of tokens is kept."""
        side = math.isqrt(tokens_per_tile)
        if side**2 != tokens_per_tile:
            raise ValueError(
                f"processor.tokens_per_tile: got {tokens_per_tile}, allowed with AnyRes: a square "
                "number, for the tokens of a tile are put together as a map"
            )
        if num_images > 1:
            return Layout(side)
        rows, columns = self.grid(height, width)
        map_height, map_width = rows * side, columns * side
        top = left = 0
        if width * map_height > height * map_width:  # wider than the grid: border above and below
            top = (map_height - height * map_width // width) // 2
        else:
            left = (map_width - width * map_height // height) // 2
        # Of an image thinner than a token nothing may be kept: its first tile alone shows it.
        kept = map_height - 2 * top, map_width - 2 * left
        times = math.sqrt(kept[0] * kept[1] / (self.max_tiles * tokens_per_tile))
        out = kept
        if times > REDUCED_ABOVE:
            out = max(1, int(kept[0] // times)), max(1, int(kept[1] // times))
        return Layout(side, rows, columns, top, left, *kept, *out)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the grid that keeps most pixels, and wastes least."""
        best, best_score = (1, 1), (0, -math.inf)
        for rows in range(1, self.grid_rows + 1):
            for columns in range(1, self.grid_columns + 1):
                canvas_height, canvas_width = rows * self.size_px, columns * self.size_px
                scale = min(canvas_width / width, canvas_height / height)
                resized = int(width * scale) * int(height * scale)
                kept = min(resized, width * height)
                score = kept, kept - canvas_height * canvas_width
                if score > best_score:
                    best, best_score = (rows, columns), score
        return best

    def __call__(self, image: np.ndarray, layout: Layout | None = None) -> np.ndarray:
        """Cut an image into the tiles of its layout, the one of the whole image first."""
        assert layout is not None, "the processor asks for it first"
        picture = Image.fromarray(image)
        if not layout.rows:
            side = max(picture.size)
            return self.cut(self._tile(self.padded(picture, side, side)), 1, 1)
        canvas = self._canvas(picture, layout)
        grid = self.cut(np.asarray(canvas), layout.rows, layout.columns)
        return np.concatenate([self.cut(self._tile(picture), 1, 1), grid])

    def _tile(self, picture: Image.Image) -> np.ndarray:
        return np.asarray(self.resized(picture, self.size_px, self.size_px))

    def _canvas(self, picture: Image.Image, layout: Layout) -> Image.Image:
        """Return the picture in the middle of a black canvas of the grid's size."""
        width, height = self.size_px * layout.columns, self.size_px * layout.rows
        across, down = width / picture.width, height / picture.height
        if across < down:
            new = width, min(math.ceil(picture.height * across), height)
        else:
            new = min(math.ceil(picture.width * down), width), height
        canvas = Image.new("RGB", (width, height))
        corner = (width - new[0]) // 2, (height - new[1]) // 2
        canvas.paste(self.resized(picture, new[1], new[0]), corner)
        return canvas
