"""Prompts about the same image begin alike: what they share is read once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmlite.batch import Batch
from mmlite.generation.cache import positions_depend_on_length, sees_by_mask
from mmlite.models import LanguageModel
from mmlite.processor import Encoded

MOST_LEFT = 0.75
"""Share of a batch's tokens, padding included, that may be left to read, at most: reading prompts
in two parts costs too."""

MOST_WIDER = 1.05
"""Prefixes and what follows are padded apart; so much wider a batch may get."""


@dataclass(frozen=True)
class Beginnings:
    """What prompts begin with.

    Attributes:
        batch: The beginnings, left-padded.
        of_prompt: Which of them each prompt begins with.
    """

    batch: Batch
    of_prompt: Int[Tensor, " row"]


@dataclass(frozen=True)
class Prompts:
    """Prompts as a model reads them: whole, or what they begin with first.

    Attributes:
        batch: The prompts, or what follows their beginnings; left-padded.
        beginnings: None where prompts are whole.
    """

    batch: Batch
    beginnings: Beginnings | None = None

    @property
    def mask(self) -> Bool[Tensor, "row token"]:
        """True where there is a token: of the beginning, then of what follows."""
        mask, begun = self.batch.attention_mask, self.beginnings
        if begun is None:
            return mask
        return torch.cat([begun.batch.attention_mask[begun.of_prompt], mask], dim=1)


@dataclass(frozen=True)
class Split:
    """Prompts in two parts.

    Attributes:
        prefixes: What prompts about the same images begin with; of others, all but a token.
        rests: What follows, prompt by prompt; without images.
        prefix_of: Which prefix each prompt begins with.
    """

    prefixes: list[Encoded]
    rests: list[Encoded]
    prefix_of: list[int]


def can_share(language: LanguageModel) -> bool:
    """Whether keys are what they are however much was read with them, wherever they are kept."""
    return sees_by_mask(language) and not positions_depend_on_length(language)


def images_of(row: Encoded) -> Hashable:
    """Return what says which images a prompt is about; nothing where they are no files or bytes."""
    origins = tuple(image.origin for image in row.images)
    return () if None in origins else origins


def split_prompts(rows: Sequence[Encoded], image_token_id: int) -> Split | None:
    """Split prompts behind what those about the same images share, if that saves enough.

    Args:
        rows: The prompts.
        image_token_id: Placeholder of images: all of them belong to a prefix.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        shown = images_of(row)
        groups.setdefault((shown, row.layouts) if shown else place, []).append(place)
    if len(groups) == len(rows):
        return None
    cuts: dict[int, tuple[int, int]] = {}  # of each prompt: its prefix, and where that ends
    prefixes: list[Encoded] = []
    for group in groups.values():
        cut = _shared(rows, group, image_token_id)
        for places in [group] if cut else [[place] for place in group]:
            end = cut or len(rows[places[0]].input_ids) - 1
            cuts |= dict.fromkeys(places, (len(prefixes), end))
            prefixes.append(_part(rows[places[0]], 0, end))
    rests = [_part(row, cuts[place][1], None) for place, row in enumerate(rows)]
    if any(image_token_id in rest.input_ids for rest in rests):
        return None  # a prompt that ends in an image
    split = Split(prefixes, rests, [cuts[place][0] for place in range(len(rows))])
    return split if _saves(split, rows) else None


def _shared(rows: Sequence[Encoded], group: Sequence[int], image_token_id: int) -> int:
    """Return how many tokens prompts share, at most all but their last; 0: not all placeholders."""
    columns = zip(*(rows[place].input_ids[:-1] for place in group), strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return 0 if image_token_id in rows[group[0]].input_ids[shared:] else shared


def _saves(split: Split, rows: Sequence[Encoded]) -> bool:
    """Whether enough tokens need not be read, and a batch gets hardly wider."""
    wide = _longest(rows)
    prefix, rest = _longest(split.prefixes), _longest(split.rests)
    left = len(split.prefixes) * prefix + len(rows) * rest
    is_whole = all(part.input_ids for part in split.prefixes)
    is_narrow = prefix + rest <= MOST_WIDER * wide
    return is_whole and is_narrow and left <= MOST_LEFT * len(rows) * wide


def _longest(rows: Sequence[Encoded]) -> int:
    return max(len(row.input_ids) for row in rows)


def _part(row: Encoded, start: int, end: int | None) -> Encoded:
    """Return some of a prompt's tokens; its images stay with those it begins with."""
    part = replace(row, input_ids=row.input_ids[start:end], labels=row.labels[start:end])
    return replace(part, images=(), layouts=()) if start else part
