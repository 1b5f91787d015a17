"""Text of the micro-world as a source: what its language models are pretrained on."""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast, overload

from data_modules.sources.base import SPLITS, Row, Source, unknown_split
from mmlite.microworld import (
    CorpusMix,
    Knowledge,
    Questions,
    TextItem,
    WorldConfig,
    text_item,
)
from mmlite.microworld.scene import Split
from mmlite.records import Example, Turn

HELD_OUT_SEED = 1_000_000
"""Added to the seed for validation text, so that it never repeats training text's draws."""

KEPT_ITEMS = 50_000
"""Most drawn items of one source that are kept in memory, about 0.5 kB each."""


class MicroText(Source):
    """Descriptions, extractions, derivations and facts of the micro-world as text alone.

    Args:
        num_items: Items in the training split, each drawn when it is read.
        held_out_items: Items in the validation and test splits.
        mix: Shares of the kinds of text.
        world: Difficulty dials of the scenes that are written about.
        num_beings: Beings of the invented world.
        seed: Decides the items.
    """

    name = "micro-text"

    def __init__(
        self,
        *,
        num_items: int = 40_000,
        held_out_items: int = 500,
        mix: CorpusMix = CorpusMix(),  # noqa: B008
        world: WorldConfig = WorldConfig(),  # noqa: B008
        num_beings: int = 300,
        seed: int = 0,
    ) -> None:
        if min(num_items, held_out_items) < 1:
            raise ValueError(
                f"{self.name}: got num_items {num_items}, held_out_items {held_out_items}, "
                "allowed: 1 or more"
            )
        self.questions = Questions(Knowledge(num_beings))
        self.num_items = num_items
        self.held_out_items = held_out_items
        self.mix = mix
        self.world = world
        self.seed = seed
        self._drawn = _drawn(f"{num_beings} {seed} {mix} {world}")

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split."""
        if split not in SPLITS:
            raise unknown_split(self, split, SPLITS)
        return TextRows(self, cast(Split, split))

    def draw(self, index: int, split: Split) -> Row:
        """Draw an item of a split."""
        item = self._drawn.get((split, index))
        if item is None:
            seed = self.seed + HELD_OUT_SEED * SPLITS.index(split)
            item = text_item(
                self.questions, index, seed=seed, config=self.world, mix=self.mix, split=split
            )
            if len(self._drawn) < KEPT_ITEMS:
                self._drawn[split, index] = item
        return (text_example(item, self.questions, row=index),)


@lru_cache(maxsize=2)
def _drawn(settings: str) -> dict[tuple[Split, int], TextItem]:
    """Return the items drawn so far with some settings; runs of one process share them."""
    return {}


def text_example(item: TextItem, questions: Questions, *, row: int) -> Example:
    """Make an Example of a text item; its completion is what is learnt."""
    kind = questions.kind(item.kind)
    return Example(
        id=f"{MicroText.name}-{row}",
        turns=(Turn("user", item.prompt), Turn("assistant", item.text, trained=True)),
        task="extraction" if item.mode == "look" else kind.task,
        category=item.kind,
        group=kind.group,
        answers=(item.answer,),
        extraction=item.text if item.mode == "look" else None,
        source=MicroText.name,
        row=row,
    )


class TextRows(Sequence[Row]):
    """Rows of text, drawn when they are indexed."""

    def __init__(self, source: MicroText, split: Split) -> None:
        self.source = source
        self.split: Split = split

    def __len__(self) -> int:
        return self.source.num_items if self.split == "train" else self.source.held_out_items

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.source.draw(i, self.split) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.source.draw(index, self.split)
