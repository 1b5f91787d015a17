"""NLVR without pictures: what a reasoner learns from, gold descriptions with their sentences."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Literal

from data_modules.sources.base import Row, Source
from data_modules.sources.lazy import LazyRows
from data_modules.sources.nlvr import NLVR
from mmlite.nlvr.descriptions import COLOR_NAMES
from mmlite.prompts import PromptSet, load_prompts
from mmlite.records import Example, Turn
from mmlite.tasks import get_task

RECOLORINGS = tuple(permutations(COLOR_NAMES))


class NLVRText(Source):
    """Descriptions and sentences of NLVR as text, each with its answer.

    Args:
        nlvr: The corpus.
        description: What stands before the sentence: the whole `caption`, the `extraction`, or
            `none`, which is the blind baseline.
        recolor: Whether training rows also come with their colors swapped in all six ways, in
            description and sentence alike; that keeps the answer.
        prompts: Prompt set, by built-in name or path.
        name: Stands in each Example's `source`.
    """

    def __init__(
        self,
        nlvr: NLVR,
        *,
        description: Literal["caption", "extraction", "none"] = "caption",
        recolor: bool = False,
        prompts: str = "micro",
        name: str = "nlvr-text",
    ) -> None:
        self.nlvr = nlvr
        self.description = description
        self.recolor = recolor
        self.prompts = load_prompts(prompts)
        self.name = name

    def rows(self, split: str) -> Sequence[Row]:
        """Return the rows of a split, one sentence each."""
        rows = self.nlvr.rows(split)
        ways = len(RECOLORINGS) if self.recolor and split == "train" else 1
        return LazyRows(len(rows) * ways, lambda row: self._row(rows[row // ways], row % ways))

    def _row(self, row: Row, way: int) -> Row:
        example = row[0]
        text = {"caption": example.caption, "extraction": example.extraction}.get(self.description)
        made = judged(example, self.prompts, text or "")
        user = replace(made.turns[0], text=recolored(made.turns[0].text, way).strip())
        return (replace(made, turns=(user, *made.turns[1:]), images=(), source=self.name),)


def judged(example: Example, prompts: PromptSet, description: str) -> Example:
    """Give an Example the turns of a reasoner: description and sentence, then the answer."""
    task = get_task(example.task)
    key = prompts.task_key("reason_answer", task.name)
    user = prompts.render(key, description=description, **task.fields(example))
    turns = (Turn("user", user), Turn("assistant", task.gold(example), trained=True))
    return replace(example, turns=turns)


def recolored(text: str, way: int) -> str:
    """Swap the names of colors in a text, in one of six ways; way 0 swaps none.

    The words of the text come out in lower case, as the tokenizer sees them anyway.
    """
    names = dict(zip(COLOR_NAMES, RECOLORINGS[way], strict=True))
    return re.sub(
        r"\b(" + "|".join(COLOR_NAMES) + r")(?=\b|s\b)", lambda m: names[m[1]], text.lower()
    )
