"""Scene to picture: anti-aliased shapes with digits on a shaded, noisy background.

Pure NumPy. The masks of all shapes are made once; a picture is a handful of small blends, at
thousands of pictures a second (`benchmarks/world.py` measures it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np

from mmlite.microworld.scene import PLACES, Scene, WorldConfig

RENDERING = 2
"""Version of how scenes become pixels; raise it with every change, since caches hold on to it."""

RGB = {
    "red": (225, 50, 45),
    "green": (50, 175, 70),
    "blue": (65, 115, 245),
    "yellow": (240, 210, 50),
    "purple": (185, 80, 225),
    "white": (242, 242, 242),
}
"""Color of each color word, channels from 0 to 255, before jitter."""

_RGB_ARRAYS = {color: np.asarray(channels) for color, channels in RGB.items()}

RADIUS = {"small": 0.34, "large": 0.46}
"""Half the width of an object as a share of its cell."""

GLYPHS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
"""Digits as 5 x 7 bitmaps, rows from the top."""

SUPERSAMPLING = 6
"""Sub-pixels per pixel and axis when a mask is anti-aliased."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A scene with all that decides its pixels: equal pictures render to equal pixels.

    Attributes:
        scene: What is in the picture.
        seed: Decides jitter, shading and noise.
        config: The world's dials.
    """

    scene: Scene
    seed: int
    config: WorldConfig

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        return {**self.scene.to_json(), "seed": self.seed, "config": self.config.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a picture from what `to_json` returned."""
        return cls(
            Scene.from_json(value), int(value["seed"]), WorldConfig.from_json(value["config"])
        )


def render(picture: Picture) -> np.ndarray:
    """Draw a picture.

    Args:
        picture: What to draw.

    Returns:
        Pixels, height x width x 3, uint8.
    """
    config = picture.config
    rng = np.random.default_rng(picture.seed)
    canvas = _background(rng, config)
    cell = config.cell_px
    for obj in picture.scene.objects:
        row, column = divmod(PLACES.index(obj.place), 3)
        down, right = rng.integers(-config.jitter_px, config.jitter_px + 1, size=2)
        shift = rng.integers(-config.color_jitter, config.color_jitter + 1, size=3)
        shape_mask = _placed_shape(obj.shape, obj.size, cell, int(down), int(right))
        window = canvas[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        window += shape_mask * (_RGB_ARRAYS[obj.color] + shift - window)
        if obj.digit is not None:
            window *= _placed_ink(obj.digit, cell, int(down), int(right))
        if rng.random() < config.occlusion:
            _cover(window, rng)
    canvas += rng.standard_normal(canvas.shape, dtype=np.float32) * config.noise
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, config: WorldConfig) -> np.ndarray:
    """Draw a gray plane with a slant of random direction and a slight tint."""
    ramp = _ramp(config.image_px)
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, config.shading)
    plane = slope * (np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None])
    tint = rng.uniform(-8, 8, size=3).astype(np.float32)
    return (rng.uniform(85, 125) + plane[..., None] + tint).astype(np.float32)


def _cover(window: np.ndarray, rng: np.random.Generator) -> None:
    """Lay a background-gray bar over a third of a cell, from a random side."""
    width = window.shape[0] // 3
    bar = (slice(None), slice(0, width)) if rng.random() < 0.5 else (slice(0, width), slice(None))
    if rng.random() < 0.5:
        window = window[::-1, ::-1]
    window[bar] = rng.uniform(85, 125)


@cache
def _ramp(length: int) -> np.ndarray:
    """Return numbers from -0.5 to 0.5."""
    return np.linspace(-0.5, 0.5, length, dtype=np.float32)


@cache
def _placed_shape(shape: str, size: str, cell: int, down: int, right: int) -> np.ndarray:
    """Return a shape's coverage, shifted, cell x cell x 1."""
    return _shifted(_shape_mask(shape, size, cell), down, right)[..., None]


@cache
def _placed_ink(digit: str, cell: int, down: int, right: int) -> np.ndarray:
    """Return what a digit leaves of the light below it, shifted, cell x cell x 1."""
    return 1 - 0.95 * _shifted(_digit_mask(digit, cell), down, right)[..., None]


def _shifted(mask: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shift a mask by whole pixels; what leaves it is cut off."""
    most = max(abs(down), abs(right))
    padded = np.pad(mask, most)
    height, width = mask.shape
    return padded[most - down : most - down + height, most - right : most - right + width]


def _digit_mask(digit: str, cell: int) -> np.ndarray:
    """Return coverage from 0 to 1 of a digit in the middle of a cell, cell x cell."""
    rows = [[int(bit) for bit in row] for row in GLYPHS[digit].split()]
    scale = max(1, cell // 20)
    glyph = np.kron(np.asarray(rows, dtype=np.float32), np.ones((scale, scale), dtype=np.float32))
    mask = np.zeros((cell, cell), dtype=np.float32)
    top, left = (cell - glyph.shape[0]) // 2, (cell - glyph.shape[1] + 1) // 2
    mask[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
    return mask


@cache
def _shape_mask(shape: str, size: str, cell: int) -> np.ndarray:
    """Return coverage from 0 to 1 of a shape in the middle of a cell, cell x cell."""
    fine = (np.arange(cell * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - cell / 2
    x, y = np.meshgrid(fine, fine)
    # In units of the object's half width: the shape lies within -1..1 on both axes.
    unit = RADIUS[size] * cell
    inside = _INSIDE[shape](x / unit, y / unit)
    shape4 = (cell, SUPERSAMPLING, cell, SUPERSAMPLING)
    return inside.reshape(shape4).mean(axis=(1, 3)).astype(np.float32)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five-pointed star, a point up: the outline's radius falls from tip to notch linearly."""
    angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    tip, notch = 1.0, 0.45
    # The edge from tip (angle 0) to notch (angle pi / 5), in polar form.
    corner = np.pi / 5
    edge = tip * notch * np.sin(corner)
    edge = edge / (notch * np.sin(corner - angle) + tip * np.sin(angle))
    return np.hypot(x, y) <= edge


_INSIDE = {
    "circle": lambda x, y: np.hypot(x, y) <= 0.95,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= 0.85,
    "triangle": lambda x, y: (y <= 0.85) & (y >= 2 * np.abs(x) - 1.0),
    "star": _star,
    "cross": lambda x, y: (
        (np.minimum(np.abs(x), np.abs(y)) <= 0.32) & (np.maximum(np.abs(x), np.abs(y)) <= 0.95)
    ),
    "diamond": lambda x, y: np.abs(x) * 1.25 + np.abs(y) <= 1.0,
}
