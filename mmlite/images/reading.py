"""Reading images safely: size, pixels, a key of their content."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmlite.errors import RowError
from mmlite.images.transform import ImageTransform
from mmlite.microworld.render import RENDERING, Picture, render
from mmlite.records import ImageRef, content_key

MAX_IMAGE_PIXELS = 64_000_000
"""Largest image that is opened; a larger one may be a decompression bomb."""

KEPT_DRAWING_BYTES = 140_000_000
"""Pixels of drawn pictures of the micro-world that a process keeps: those of 12,000 pictures of
60 x 60 pixels are 130 MB, 150 with what they are found by."""

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def resolve_inside(root: Path, path: str) -> Path:
    """Return the path of a file under a root folder.

    A link inside the root is followed, wherever it leads: whoever made the folder put it there.

    Raises:
        RowError: If the path as it is written leads out of the root, or no file is there.
    """
    root = Path(os.path.abspath(root))
    # `a/../b` is `b`, also where a is a link to another place.
    found = Path(os.path.normpath(root / path))
    if not found.is_relative_to(root):
        raise RowError(
            f"image path: got {path!r}, which leads out of the image root {root}; "
            "allowed: relative paths inside it"
        )
    try:
        is_there = found.is_file()
    except (OSError, ValueError) as error:  # too long, not permitted, or no name of a file
        raise RowError(
            f"image path: got {path!r}, which cannot be looked up ({error}); correct the path",
            "unreadable_image",
        ) from error
    if not is_there:
        raise RowError(
            f"image path: got {path!r}, but there is no file {found}", "unreadable_image"
        )
    return found


def open_image(ref: ImageRef) -> np.ndarray:
    """Read an image.

    Returns:
        Height x width x 3, uint8.

    Raises:
        ValueError: If the file is missing, no image, broken, or too large.
    """
    if ref.scene is not None:
        return _drawings.draw(Picture.from_json(ref.scene))
    with _opened(ref, io.BytesIO(image_bytes(ref))) as image:
        return np.asarray(_in_eight_bits(image).convert("RGB"))


class _Drawings:
    """Pictures of the micro-world as they were drawn; the first ones are kept, others not.

    Args:
        room: Most bytes in all pictures together.
    """

    def __init__(self, room: int) -> None:
        self._kept: dict[Picture, np.ndarray] = {}
        self._room = room

    def draw(self, picture: Picture) -> np.ndarray:
        """Draw a picture, or return it as it was drawn before; nobody may write to it."""
        if (drawing := self._kept.get(picture)) is None:
            drawing = render(picture)
            drawing.setflags(write=False)
            if drawing.nbytes <= self._room:
                self._room -= drawing.nbytes
                self._kept[picture] = drawing
        return drawing


_drawings = _Drawings(KEPT_DRAWING_BYTES)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits a pixel to 8; Pillow would cut all but the darkest off at white."""
    if not _has_sixteen_bits(image):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _has_sixteen_bits(image: Image.Image) -> bool:
    # Pillow reads 16 bits of PGM into 32 of which it uses 16.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def image_size(ref: ImageRef) -> tuple[int, int]:
    """Return height and width of an image in pixels; of a file, only its head is read.

    Raises:
        ValueError: If the file is missing, no image, broken at its head, or too large.
    """
    if ref.scene is not None:
        height, width, _ = open_image(ref).shape
        return height, width
    is_file = ref.path is not None and ref.span is None
    with _opened(ref, Path(ref.path or "") if is_file else io.BytesIO(image_bytes(ref))) as image:
        return image.height, image.width


def image_key(ref: ImageRef, transform: ImageTransform) -> str:
    """Hash an image's content together with how it is transformed."""
    if ref.scene is not None:
        content: object = [RENDERING, ref.scene]
    else:
        content = hashlib.blake2b(image_bytes(ref), digest_size=16).hexdigest()
    return content_key(content, _transform_key(transform))


def image_bytes(ref: ImageRef) -> bytes:
    """Return an image as it is encoded in its file; a drawn picture is in none.

    Raises:
        ValueError: If the file cannot be read.
    """
    if ref.data is not None:
        return ref.data
    try:
        if ref.span is None:
            return Path(ref.path or "").read_bytes()
        start, size = ref.span
        with Path(ref.path or "").open("rb") as file:
            file.seek(start)
            return file.read(size)
    except (OSError, ValueError) as error:  # ValueError of what is no name of a file
        raise _unreadable(_name(ref), error) from error


@lru_cache
def _transform_key(transform: ImageTransform) -> str:
    return content_key(type(transform).__qualname__, asdict(transform))


@contextmanager
def _opened(ref: ImageRef, source: io.BytesIO | Path) -> Iterator[Image.Image]:
    name = _name(ref)
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise RowError(
                    f"image {name}: got {image.width} x {image.height} pixels, allowed: at most "
                    f"{MAX_IMAGE_PIXELS}; make it smaller",
                    "oversized_image",
                )
            if image.mode in ("F", "I") and not _has_sixteen_bits(image):
                raise RowError(
                    f"image {name}: got 32 bits a pixel (mode {image.mode}), of which nothing says "
                    "what is black and white, allowed: 8 or 16 bits; convert it",
                    "unreadable_image",
                )
            yield image
    except (RowError, MemoryError):
        raise
    except Exception as error:
        # Of a broken file, Pillow's readers raise whatever they come upon: SyntaxError of PNG
        # chunks, RuntimeError of AVIF, ValueError, struct.error, IndexError.
        raise _unreadable(name, error) from error


def _name(ref: ImageRef) -> str:
    if ref.path is None:
        return f"{len(ref.data or b'')} bytes of data"
    return ref.path if ref.span is None else f"{ref.path} at byte {ref.span[0]}"


def _unreadable(name: str, error: Exception) -> RowError:
    is_bomb = isinstance(error, _BOMBS)
    # Of bytes, Pillow names the object that holds them.
    is_none = isinstance(error, UnidentifiedImageError)
    reason = "no image" if is_none else str(error) or type(error).__name__
    return RowError(
        f"image {name}: cannot be read ({reason}); replace the file or drop its row",
        "oversized_image" if is_bomb else "unreadable_image",
    )
