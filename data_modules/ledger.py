"""The ledger of a mixture: which rows a run trains on, written into its folder."""

import json
import os
from pathlib import Path
from typing import Any

from data_modules.mixture import Mixture
from mmlite.records import content_key

MIXTURE_FILE = "mixture.json"
"""Name of the file in a run's folder."""


def mixture_ledger(mixture: Mixture) -> dict[str, Any]:
    """Describe a mixture, so that a second run can be seen to train on the very same rows.

    Returns:
        `seed`, `rows_per_epoch`, the hash of the first epoch's order, and for each source what was
        asked for (weight, limit, replay), what it has and gives, its share of an epoch, the hash
        of the rows chosen by a limit, and what it read from.
    """
    total = len(mixture)
    sources = [
        {
            "name": mixed.source.name,
            "class": f"{type(mixed.source).__module__}.{type(mixed.source).__qualname__}",
            **mixed.source.describe("train"),
            "rows": len(rows),
            "limit": mixed.limit,
            "rows_chosen": len(chosen),
            "chosen_hash": content_key(chosen.astype("<i8").tobytes()),
            "weight": None if mixed.replay is not None else mixed.weight,
            "replay": mixed.replay,
            "rows_per_epoch": count,
            "share": count / total,
        }
        for mixed, rows, chosen, count in zip(
            mixture.mixed, mixture.rows, mixture.chosen, mixture.counts, strict=True
        )
    ]
    return {
        "seed": mixture.seed,
        "rows_per_epoch": total,
        "first_epoch_hash": content_key(mixture.order(0).astype("<i8").tobytes()),
        "sources": sources,
    }


def write_ledger(folder: Path, mixture: Mixture) -> None:
    """Write the ledger of a mixture into a run's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{MIXTURE_FILE}.{os.getpid()}.part"
    part.write_text(json.dumps(mixture_ledger(mixture), indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / MIXTURE_FILE)
