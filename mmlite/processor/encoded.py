"""Encoded: one sequence before its images are loaded."""

from dataclasses import dataclass

from mmlite.layout import Layout
from mmlite.records import Example, ImageRef


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence before its images are loaded.

    Attributes:
        input_ids: Token ids, placeholders of images repeated as often as an image has tokens.
        labels: Token ids to learn, `IGNORE_INDEX` elsewhere; not shifted.
        images: The images, in the order of their placeholders.
        example: What the sequence was made of, if it is wanted later.
        name: What it is called in messages: source and row.
        layouts: How the tiles of each image are put together; empty where one follows the other.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    images: tuple[ImageRef, ...]
    example: Example | None = None
    name: str = "conversation"
    layouts: tuple[Layout, ...] = ()
