"""The micro-world as a source: pictures with questions, or with captions alone."""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, cast, overload

from data_modules.sources.base import SPLITS, Row, Source, unknown_split
from mmlite.microworld import (
    Knowledge,
    Picture,
    Questions,
    WorldConfig,
    caption_by_shape,
    caption_example,
    draw_held_out,
    draw_scene_of,
    world_example,
)
from mmlite.records import Example

MAX_DRAWS = 1000
"""Kinds drawn for one question before its picture counts as allowing none; most fit at once."""


class MicroWorld(Source):
    """Questions about pictures of the micro-world.

    Training rows hold several questions about one picture, drawn anew for each row. Validation
    and test rows hold one question each, with balanced answers, about scenes of their own split.

    Args:
        num_images: Pictures in the training split.
        rows_per_image: Training rows made of each picture, with other questions each time.
        questions_per_row: Questions per training row; 0 makes rows of captions alone.
        captions_by_shape: Share of the training captions that name shapes first, in random order
            (`mmlite.microworld.caption_by_shape`), so that objects are looked up by their shapes;
            the others, and those held out, go by places in reading order.
        kinds: Weight of each kind of question in training; null weighs all kinds the same.
        held_out_per_kind: Questions per kind in the validation and test splits, or captions in
            all where `questions_per_row` is 0.
        world: Difficulty dials.
        num_beings: Beings of the invented world.
        seed: Decides scenes, pictures and questions.
    """

    name = "micro-world"

    def __init__(
        self,
        *,
        num_images: int = 12_000,
        rows_per_image: int = 4,
        questions_per_row: int = 4,
        captions_by_shape: float = 0.0,
        kinds: dict[str, float] | None = None,
        held_out_per_kind: int = 100,
        world: WorldConfig = WorldConfig(),  # noqa: B008
        num_beings: int = 300,
        seed: int = 0,
    ) -> None:
        if min(num_images, rows_per_image, held_out_per_kind) < 1 or questions_per_row < 0:
            raise ValueError(
                f"{self.name}: got num_images {num_images}, rows_per_image {rows_per_image}, "
                f"held_out_per_kind {held_out_per_kind}, questions_per_row {questions_per_row}, "
                "allowed: 1 or more, questions_per_row 0 or more"
            )
        if not 0 <= captions_by_shape <= 1:
            raise ValueError(
                f"{self.name}: got captions_by_shape {captions_by_shape}, allowed: 0 to 1"
            )
        if captions_by_shape and questions_per_row:
            raise ValueError(
                f"{self.name}: got captions_by_shape {captions_by_shape} with questions_per_row "
                f"{questions_per_row}, allowed: with questions_per_row 0, which makes captions"
            )
        self.questions = Questions(Knowledge(num_beings))
        kinds = kinds if kinds is not None else dict.fromkeys(self.questions.kinds, 1.0)
        for kind in kinds:
            self.questions.kind(kind)  # an unknown name stops here
        self.kinds = kinds
        self.num_images = num_images
        self.num_rows = num_images * rows_per_image
        self.questions_per_row = questions_per_row
        self.captions_by_shape = captions_by_shape
        self.held_out_per_kind = held_out_per_kind
        self.world = world
        self.seed = seed

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split."""
        if split not in SPLITS:
            raise unknown_split(self, split, SPLITS)
        if split == "train":
            return TrainingRows(self)
        held_out = cast(Literal["validation", "test"], split)
        return self._captions(held_out) if not self.questions_per_row else self._asked(held_out)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The training pictures."""
        return draw_pictures("train", self.num_images, self.seed, self.world)

    def _captions(self, split: Literal["validation", "test"]) -> list[Row]:
        pictures = draw_pictures(split, self.held_out_per_kind, self.seed, self.world)
        return [
            (caption_example(picture, source=self.name, row=row),)
            for row, picture in enumerate(pictures)
        ]

    def _asked(self, split: Literal["validation", "test"]) -> list[Row]:
        drawn = draw_held_out(
            self.questions, split, self.held_out_per_kind, seed=self.seed, config=self.world
        )
        return [
            (world_example(picture, question, self.questions, source=self.name, row=row),)
            for row, (picture, question) in enumerate(drawn.items)
            if question.kind in self.kinds
        ]

    def draw_row(self, index: int) -> Row:
        """Draw the questions of a training row."""
        picture = self.pictures[index % self.num_images]
        rng = random.Random(self.seed * 1_000_003 + index)
        if not self.questions_per_row:
            is_by_shape = rng.random() < self.captions_by_shape
            text = caption_by_shape(picture.scene, rng) if is_by_shape else None
            return (caption_example(picture, source=self.name, row=index, text=text),)
        return tuple(
            self._draw_question(picture, rng, index) for _ in range(self.questions_per_row)
        )

    def _draw_question(self, picture: Picture, rng: random.Random, row: int) -> Example:
        names, weights = tuple(self.kinds), tuple(self.kinds.values())
        for _ in range(MAX_DRAWS):
            (kind,) = rng.choices(names, weights)
            question = self.questions.pick(kind, picture.scene, rng)
            if question is not None:
                return world_example(picture, question, self.questions, source=self.name, row=row)
        raise ValueError(
            f"{self.name} row {row}: got kinds {', '.join(names)}, none of which its picture "
            "allows; allowed: kinds that fit every picture among them, such as count or attribute"
        )


@lru_cache(maxsize=8)
def draw_pictures(
    split: Literal["train", "validation", "test"], number: int, seed: int, world: WorldConfig
) -> tuple[Picture, ...]:
    """Draw pictures of a split; runs of one process share what is drawn."""
    rng = random.Random(f"{seed} {split} pictures")
    return tuple(
        Picture(draw_scene_of(split, rng, world), rng.getrandbits(32), world) for _ in range(number)
    )


class TrainingRows(Sequence[Row]):
    """Training rows, drawn when they are indexed: row i is the same whenever it is drawn."""

    def __init__(self, source: MicroWorld) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.num_rows

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.source.draw_row(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.source.draw_row(index)
