"""Scenes of the micro-world: what is in a picture, how one is drawn at random, and its split.

A scene is a 3x3 grid of places with 2 to 6 objects. Every object has its own shape, so "the
circle" names one object; its color comes from a small palette, so that several objects share a
color; it is small or large, and may carry a digit.
"""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, Self

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
COLORS = ("red", "green", "blue", "yellow", "purple", "white")
SIZES = ("small", "large")
DIGITS = tuple("0123456789")
PLACES = (
    "top-left",
    "top-middle",
    "top-right",
    "middle-left",
    "center",
    "middle-right",
    "bottom-left",
    "bottom-middle",
    "bottom-right",
)
"""Places in reading order: index = 3 * row + column."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class WorldConfig:
    """The difficulty dials of the world.

    Attributes:
        min_objects: Fewest objects in a scene.
        max_objects: Most objects in a scene; at most 6, one for each shape.
        min_palette: Fewest colors a scene draws from.
        max_palette: Most colors a scene draws from; at most 6.
        digit_fraction: Share of objects that carry a digit, from 0 to 1.
        cell_px: Width and height of one of the nine places in pixels.
        jitter_px: Objects are shifted from the middle of their place by up to this many pixels;
            what leaves the place is cut off.
        noise: Standard deviation of the pixel noise, in gray levels of 255.
        shading: Largest brightness change across the background, in gray levels of 255.
        color_jitter: Largest shift of an object's color per channel, in gray levels of 255.
        occlusion: Share of objects that are partly covered by a bar, from 0 to 1.
    """

    min_objects: int = 2
    max_objects: int = 6
    min_palette: int = 2
    max_palette: int = 3
    digit_fraction: float = 0.65
    cell_px: int = 20
    jitter_px: int = 1
    noise: float = 12.0
    shading: float = 40.0
    color_jitter: int = 15
    occlusion: float = 0.0

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.min_objects <= self.max_objects <= len(SHAPES):
            problems.append(
                f"min_objects, max_objects: got {self.min_objects}, {self.max_objects}, "
                f"allowed: 1 <= min <= max <= {len(SHAPES)}"
            )
        if not 1 <= self.min_palette <= self.max_palette <= len(COLORS):
            problems.append(
                f"min_palette, max_palette: got {self.min_palette}, {self.max_palette}, "
                f"allowed: 1 <= min <= max <= {len(COLORS)}"
            )
        for name in ("digit_fraction", "occlusion"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name}: got {getattr(self, name)}, allowed: 0 to 1")
        for name in ("noise", "shading", "color_jitter", "jitter_px"):
            if getattr(self, name) < 0:
                problems.append(f"{name}: got {getattr(self, name)}, allowed: 0 or more")
        if self.cell_px < 16:
            problems.append(f"cell_px: got {self.cell_px}, allowed: 16 or more (digits need room)")
        if problems:
            raise ValueError("world: " + "; ".join(problems))

    @property
    def image_px(self) -> int:
        """Width and height of the picture in pixels."""
        return 3 * self.cell_px

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        return dict(_config_json(self))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a config; unknown keys are an error that lists the known ones."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise ValueError(f"world: got {unknown}, allowed: {', '.join(sorted(known))}")
        problems = [
            f"{f.name}: got {value[f.name]!r}, allowed: {'a whole number' if whole else 'a number'}"
            for f in fields(cls)
            if f.name in value
            and not _is_number(value[f.name], whole=(whole := isinstance(f.default, int)))
        ]
        if problems:
            raise ValueError("world: " + "; ".join(problems))
        return cls(**value)


def _is_number(value: Any, *, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


@cache
def _config_json(config: WorldConfig) -> dict[str, Any]:
    return asdict(config)


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a scene; `digit` is None when it carries none."""

    shape: str
    color: str
    size: str
    digit: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Scene:
    """The objects of a picture, in reading order of their places."""

    objects: tuple[Object, ...]

    def at(self, place: str) -> Object | None:
        """Return the object at a place, or None."""
        return next((o for o in self.objects if o.place == place), None)

    def named(self, shape: str) -> Object | None:
        """Return the object of a shape, or None."""
        return next((o for o in self.objects if o.shape == shape), None)

    def count(self, color: str) -> int:
        """Return how many objects have a color."""
        return sum(o.color == color for o in self.objects)

    def to_json(self) -> dict[str, Any]:
        """Return `{"objects": [[shape, color, size, digit, place], ...]}`."""
        return {"objects": [[o.shape, o.color, o.size, o.digit, o.place] for o in self.objects]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a scene from what `to_json` returned."""
        return cls(tuple(Object(*row) for row in value["objects"]))


def draw_scene(rng: random.Random, config: WorldConfig) -> Scene:
    """Draw a scene at random."""
    number = rng.randint(config.min_objects, config.max_objects)
    palette = rng.sample(COLORS, rng.randint(config.min_palette, config.max_palette))
    shapes = rng.sample(SHAPES, number)
    places = sorted(rng.sample(range(len(PLACES)), number))
    return Scene(
        tuple(
            Object(
                shape=shape,
                color=rng.choice(palette),
                size=rng.choice(SIZES),
                digit=rng.choice(DIGITS) if rng.random() < config.digit_fraction else None,
                place=PLACES[place],
            )
            for shape, place in zip(shapes, places, strict=True)
        )
    )


def scene_key(scene: Scene) -> str:
    """Hash a scene's content: equal scenes have equal keys, whatever their picture's noise."""
    text = ";".join(f"{o.shape},{o.color},{o.size},{o.digit},{o.place}" for o in scene.objects)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def split_of(scene: Scene) -> Split:
    """Return the one split a scene belongs to.

    The split is a function of the scene's content (80 % train, 10 % validation, 10 % test of all
    possible scenes), so that splits are disjoint whatever the seeds they are drawn with.
    """
    bucket = int(scene_key(scene)[:8], 16) % 10
    return "test" if bucket == 9 else "validation" if bucket == 8 else "train"


def draw_scene_of(split: Split, rng: random.Random, config: WorldConfig) -> Scene:
    """Draw a scene at random from one split."""
    if split not in SPLITS:
        raise ValueError(f"split: got {split!r}, allowed: {', '.join(SPLITS)}")
    while True:
        scene = draw_scene(rng, config)
        if split_of(scene) == split:
            return scene
