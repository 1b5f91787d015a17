"""Layout: how the tiles of one image become its tokens. Plain numbers, no torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Tokens of an image that is seen once whole and, where it has a grid, again in tiles.

    The first tile shows the whole image, and its tokens come first. The tokens of the grid's
    tiles make one map, of which only the part that shows the image is kept; a map that is too
    large is reduced. Each row of the map ends in a learnt token, `image_newline`; an image without
    a grid ends in one. Source: arXiv:2511.17487, sec. 3, through LLaVA-OneVision,
    arXiv:2408.03326, sec. 3.2.

    Attributes:
        side: Rows of tokens of one tile, and as many columns.
        rows: Rows of tiles of the grid; 0: there is no grid.
        columns: Columns of tiles of the grid.
        top: Rows of the map above the image.
        left: Columns of the map left of the image.
        height: Rows of the map that show the image.
        width: Columns of the map that show the image.
        out_height: Rows of the map after it was reduced.
        out_width: Columns of the map after it was reduced.
    """

    side: int
    rows: int = 0
    columns: int = 0
    top: int = 0
    left: int = 0
    height: int = 0
    width: int = 0
    out_height: int = 0
    out_width: int = 0

    @property
    def num_tiles(self) -> int:
        """Tiles of the image, the one that shows it whole included."""
        return 1 + self.rows * self.columns

    @property
    def num_tokens(self) -> int:
        """Tokens of the image, those that end rows included."""
        if not self.rows:
            return self.side**2 + 1
        return self.side**2 + self.out_height * (self.out_width + 1)
