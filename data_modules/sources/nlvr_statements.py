"""Generated statements about generated box scenes: what an NLVR reasoner is pretrained on."""

import random
from collections.abc import Sequence

from data_modules.sources.base import SPLITS, Row, Source, unknown_split
from data_modules.sources.lazy import LazyRows
from data_modules.sources.nlvr_text import judged
from mmlite.nlvr import describe, draw_statement
from mmlite.prompts import load_prompts
from mmlite.records import Example


class NLVRStatements(Source):
    """Descriptions with statements, each true or false, drawn when they are read.

    Args:
        num_items: Items in the training split.
        held_out_items: Items in the validation and test splits.
        seed: Decides the items.
        prompts: Prompt set, by built-in name or path.
        name: Stands in each Example's `source`.
    """

    def __init__(
        self,
        *,
        num_items: int = 100_000,
        held_out_items: int = 500,
        seed: int = 0,
        prompts: str = "micro",
        name: str = "nlvr-statements",
    ) -> None:
        if min(num_items, held_out_items) < 1:
            raise ValueError(
                f"{name}: got num_items {num_items}, held_out_items {held_out_items}, allowed: 1 "
                "or more"
            )
        self.num_items = num_items
        self.held_out_items = held_out_items
        self.seed = seed
        self.prompts = load_prompts(prompts)
        self.name = name

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, one statement each."""
        if split not in SPLITS:
            raise unknown_split(self, split, SPLITS)
        size = self.num_items if split == "train" else self.held_out_items
        return LazyRows(size, lambda row: (self._example(split, row),))

    def _example(self, split: str, row: int) -> Example:
        scene, statement, truth = draw_statement(random.Random(f"{self.seed} {split} {row}"))
        description = describe(scene)
        example = Example(
            id=f"{self.name}-{row}",
            turns=(),
            task="yes_no",
            question=statement,
            category="statement",
            group="nlvr",
            answers=("true" if truth else "false",),
            caption=description,
            extraction=description,
            scene=scene.to_json(),
            source=self.name,
            row=row,
        )
        return judged(example, self.prompts, description)
