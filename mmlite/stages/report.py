"""The table of parts: what a run trains, and what it leaves alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import nn

from mmlite.models.quantization import dtype_name, num_weights


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of a model.

    Attributes:
        part: Its name.
        parameters: How many it has, tied ones once, quantised ones by the weights they stand for.
        trainable: How many of them learn.
        dtypes: Types of its weights.
    """

    part: str
    parameters: int
    trainable: int
    dtypes: str


def part_rows(parts: Mapping[str, nn.Module], trainable: Collection[str]) -> list[PartRow]:
    """Describe parts."""
    rows = []
    for name, part in parts.items():
        parameters = list(part.parameters())
        dtypes = sorted({dtype_name(p) for p in parameters})
        learnt = sum(p.numel() for p in parameters if p.requires_grad) if name in trainable else 0
        rows.append(PartRow(name, sum(map(num_weights, parameters)), learnt, ", ".join(dtypes)))
    return rows


def part_table(rows: list[PartRow]) -> str:
    """Return the rows as a text table."""
    lines = [f"{'part':<12}{'parameters':>14}{'trainable':>14}  dtype"]
    lines += [f"{r.part:<12}{r.parameters:>14,}{r.trainable:>14,}  {r.dtypes}" for r in rows]
    total, learnt = sum(r.parameters for r in rows), sum(r.trainable for r in rows)
    return "\n".join([*lines, f"{'all':<12}{total:>14,}{learnt:>14,}"])
