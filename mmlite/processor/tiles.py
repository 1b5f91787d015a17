"""Loading the images of sequences: each tile as pixels, or as features from the cache."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmlite.errors import RowError
from mmlite.features import FeatureCache
from mmlite.images import ImageTransform, image_key, open_image
from mmlite.layout import Layout
from mmlite.processor.encoded import Encoded
from mmlite.records import ImageRef


@dataclass
class Tiles:
    """The tiles of all images of a batch, fields as in `mmlite.batch.Batch`.

    Attributes:
        pixels: Normalised tiles that still have to be encoded; size 0 if none.
        features: Encoded tiles from the cache; size 0 if none.
        tile_order: Position of each tile in `features` followed by `pixels`.
        pixel_keys: Content key of each tile in `pixels`.
        layouts: How the tiles of each image are put together; empty where one follows the other.
    """

    pixels: Float[Tensor, "pixel_tile channel height width"]
    features: Float[Tensor, "feature_tile patch vision_dim"]
    tile_order: Int[Tensor, " tile"]
    pixel_keys: tuple[str, ...]
    layouts: tuple[Layout, ...]


def load_tiles(
    rows: Sequence[Encoded],
    transform: ImageTransform,
    cache: FeatureCache | None,
    *,
    readers: int = 1,
    is_shared: bool = False,
) -> Tiles:
    """Load the images of sequences.

    Args:
        rows: The sequences, in the order of their images' placeholders.
        transform: Cuts images into tiles.
        cache: Of features, or None.
        readers: Threads that read images.
        is_shared: Whether rows share the tiles of an image that several of them have, instead of
            having it read and encoded each by itself.

    Raises:
        ValueError: If an image cannot be read, or has changed since its row was encoded; naming
            the row.
    """
    shown = [
        _Image(row.name, ref, layout)
        for row in rows
        for ref, layout in zip(row.images, row.layouts or (None,) * len(row.images), strict=True)
    ]
    first: dict[Hashable, int] = {}
    wanted = [
        first.setdefault(image.name, place) if is_shared else place
        for place, image in enumerate(shown)
    ]
    images = {place: shown[place].looked_up(transform, cache) for place in dict.fromkeys(wanted)}
    unread = [image for image in images.values() if not image.cached]
    with _reading(readers if len(unread) > 1 else 1) as each:
        read = each(lambda image: image.read(transform), unread)
        found: list[Tensor] = []
        missing: list[np.ndarray] = []
        keys: list[str] = []
        order: dict[int, list[tuple[bool, int]]] = {}
        for place, image in images.items():
            if image.cached:
                order[place] = [(False, len(found) + tile) for tile in range(len(image.cached))]
                found += image.cached
                continue
            tiles = next(read)
            order[place] = [(True, len(missing) + tile) for tile in range(len(tiles))]
            missing += list(tiles)
            keys += image.keys or [""] * len(tiles)
    size = transform.size_px
    places = [
        len(found) + index if is_pixel else index
        for place in wanted
        for is_pixel, index in order[place]
    ]
    return Tiles(
        pixels=torch.from_numpy(np.stack(missing)) if missing else torch.zeros(0, 3, size, size),
        features=torch.stack(found) if found else torch.zeros(0, 0, 0),
        tile_order=torch.tensor(places, dtype=torch.long),
        pixel_keys=tuple(keys),
        layouts=tuple(layout for row in rows for layout in row.layouts),
    )


@dataclass
class _Image:
    """An image of a row, with the keys of its tiles and their features if all are cached."""

    row: str
    ref: ImageRef
    layout: Layout | None
    keys: list[str] = field(default_factory=list)
    cached: list[Tensor] = field(default_factory=list)

    @property
    def name(self) -> Hashable:
        """What says that it is the same one, cut in the same way."""
        return self.ref.origin or id(self.ref.scene), self.layout

    def looked_up(self, transform: ImageTransform, cache: FeatureCache | None) -> "_Image":
        """Return it with what is cached of it."""
        if cache is None or not cache.is_open:
            return self
        with self._told():
            key, number = image_key(self.ref, transform), transform.num_tiles
        if self.layout is not None:  # the same image is cut otherwise beside other images
            key, number = f"{key}-{self.layout.rows}x{self.layout.columns}", self.layout.num_tiles
        names = [f"{key}-{tile}" for tile in range(number)]
        cached = [tile for name in names if (tile := cache.get(name)) is not None]
        return replace(self, keys=names, cached=cached if len(cached) == len(names) else [])

    def read(self, transform: ImageTransform) -> np.ndarray:
        """Return its tiles as pixels."""
        with self._told():
            return transform(_unchanged(self.ref, self.layout, transform), self.layout)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the row in what is wrong with its image."""
        try:
            yield
        except ValueError as error:
            raise RowError.at(self.row, error) from error


@contextmanager
def _reading(readers: int) -> Iterator[Callable[[Callable[[_Image], np.ndarray], Any], Any]]:
    """Give what calls a function for each image, in order, in so many threads."""
    if readers == 1:
        yield map
        return
    with ThreadPoolExecutor(readers) as pool:
        yield pool.map


def _unchanged(ref: ImageRef, layout: Layout | None, transform: ImageTransform) -> np.ndarray:
    """Read an image, which must still be of the size its row was encoded with."""
    image = open_image(ref)
    if layout is None or not layout.rows:
        return image
    height, width, _ = image.shape
    now = transform.layout(height, width, num_images=1, tokens_per_tile=layout.side**2)
    if now != layout:
        raise RowError(
            f"image {ref.path or ''}: got {width} x {height} pixels, which is another size than "
            "when its row was read; leave images as they are while a run reads them",
            "unreadable_image",
        )
    return image
