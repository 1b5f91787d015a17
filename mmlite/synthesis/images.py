"""Images of the rows: as teachers are shown them, and where the written data finds them."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mmlite.files import write_whole
from mmlite.images import image_bytes, open_image
from mmlite.records import ImageRef

FOLDER = "images"
"""Of pictures that are not kept where the source has them, in the output folder."""


def shown(images: Sequence[ImageRef], size_px: int | None) -> tuple[ImageRef, ...]:
    """Return images as a teacher is shown them.

    Args:
        images: Of the source.
        size_px: Width and height that they are stretched to, whatever their aspect ratio; None
            leaves them alone.

    Raises:
        ValueError: If one cannot be read.
    """
    if size_px is None:
        return tuple(images)
    return tuple(ImageRef(data=_stretched(ref, size_px)) for ref in images)


def _stretched(ref: ImageRef, size_px: int) -> bytes:
    picture = Image.fromarray(open_image(ref))
    buffer = io.BytesIO()
    resized = picture.resize((size_px, size_px), Image.Resampling.BICUBIC)
    resized.save(buffer, format="PNG", compress_level=0)  # read again at once
    return buffer.getvalue()


class ImagePlaces:
    """Where the images of written records lie: one root, and a path under it for each image.

    Where every image is a whole file under the source's own root, that root and its paths are
    kept, and no image is written. Otherwise all of them are written into the output folder, which
    is the root then; equal images once.

    Args:
        out: The output folder.
        source_root: Folder that the source's image paths are relative to; None: it has none.
    """

    def __init__(self, out: Path, source_root: str | Path | None) -> None:
        self.out = out
        self.source_root = None if source_root is None else Path(os.path.abspath(source_root))
        self.are_kept = self.source_root is not None

    def notice(self, images: Sequence[ImageRef]) -> None:
        """Take note of images that will be asked for; call it for all before the first `path`."""
        self.are_kept = self.are_kept and all(self._inside(ref) is not None for ref in images)

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self.source_root if self.are_kept and self.source_root else self.out

    def path(self, ref: ImageRef) -> str:
        """Return the path of an image under the root, with `/`; it is written if it has to be.

        Raises:
            ValueError: If it cannot be read.
        """
        if self.are_kept:
            inside = self._inside(ref)
            assert inside is not None, "notice has seen every image"
            return inside
        content = _drawn(ref) if ref.scene is not None else image_bytes(ref)
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        path = self.out / FOLDER / f"{digest}.{_kind(content)}"
        if not path.is_file():
            write_whole(path, content)
        return path.relative_to(self.out).as_posix()

    def _inside(self, ref: ImageRef) -> str | None:
        if ref.path is None or ref.span is not None or self.source_root is None:
            return None
        path = Path(os.path.abspath(ref.path))
        if not path.is_relative_to(self.source_root):
            return None
        return path.relative_to(self.source_root).as_posix()


def _drawn(ref: ImageRef) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(open_image(ref)).save(buffer, format="PNG")
    return buffer.getvalue()


def _kind(content: bytes) -> str:
    """Return what a file of an image ends in."""
    with Image.open(io.BytesIO(content)) as image:
        return (image.format or "image").lower()
