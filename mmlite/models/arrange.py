"""Putting the tokens of tiles together to those of images."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from mmlite.layout import Layout


def arrange(
    tiles: Float[Tensor, "tile image_token text_dim"],
    layouts: Sequence[Layout],
    newline: Float[Tensor, " text_dim"] | None,
) -> Float[Tensor, "token text_dim"]:
    """Return the tokens of images, one image after the other.

    Args:
        tiles: Tokens of all tiles.
        layouts: How the tiles of each image are put together; empty: one after the other.
        newline: Token that ends the rows of an image with a layout.
    """
    if not layouts:
        return tiles.flatten(0, 1)
    if newline is None:
        raise ValueError(
            "model: got images with a layout, but the projector has no image_newline; "
            "allowed: a projector that add_newline was called on"
        )
    made, room = tiles.shape[1], {layout.side**2 for layout in layouts}
    if room != {made}:
        raise ValueError(
            f"model: got {made} tokens of each tile from the projector and room for "
            f"{', '.join(map(str, sorted(room)))}, allowed: as many as the projector's num_tokens "
            "says; make num_tokens and forward of the projector agree"
        )
    newline = newline.to(tiles.dtype)
    of_images = tiles.split([layout.num_tiles for layout in layouts])
    tokens = [_image(own, layout, newline) for own, layout in zip(of_images, layouts, strict=True)]
    return torch.cat(tokens)


def _image(
    tiles: Float[Tensor, "tile image_token text_dim"],
    layout: Layout,
    newline: Float[Tensor, " text_dim"],
) -> Float[Tensor, "token text_dim"]:
    if not layout.rows:
        return torch.cat([tiles[0], newline[None]])
    rows, columns, side, dim = layout.rows, layout.columns, layout.side, tiles.shape[-1]
    grid = tiles[1:].reshape(rows, columns, side, side, dim).permute(4, 0, 2, 1, 3)
    whole = grid.reshape(dim, rows * side, columns * side)
    bottom, right = layout.top + layout.height, layout.left + layout.width
    shown = whole[:, layout.top : bottom, layout.left : right]
    size = layout.out_height, layout.out_width
    if size != (layout.height, layout.width):
        shown = interpolate(shown[None], size, mode="bilinear")[0]
    ends = newline[:, None, None].expand(dim, layout.out_height, 1)
    lines = torch.cat([shown, ends], dim=-1)
    return torch.cat([tiles[0], lines.flatten(1).T])
