"""Predictions in the format of a corpus's official scorer, beside those of the study."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mmlite.predictions import read_predictions
from mmlite.records import Prediction
from mmlite.scenes import kind_of

OFFICIAL = "official"
"""Folder of the files."""


def write_official_files(out: Path) -> list[Path]:
    """Write one file for each system and seed whose corpus has an official format.

    Args:
        out: The study's folder, with predictions.

    Returns:
        The files: `official/SYSTEM[-SIZE...]-seed-N.csv`.
    """
    systems: dict[str, list[Prediction]] = {}
    for path in sorted((out / "predictions").glob("*.jsonl")):
        # One job wrote a file, about scenes of one kind: the first tells of them all.
        if not any(_writer(first) for first in read_predictions(path, most=1)):
            continue
        for prediction in read_predictions(path):
            systems.setdefault(_name(prediction), []).append(prediction)
    written = []
    for name, predictions in systems.items():
        if (write := _writer(predictions[0])) is not None:
            written.append(out / OFFICIAL / f"{name}.csv")
            write(written[-1], predictions)
    return written


def _writer(prediction: Prediction) -> Callable[[Path, Sequence[Prediction]], None] | None:
    kind = kind_of(prediction.scene)
    return None if kind is None else kind.write_official


def _name(prediction: Prediction) -> str:
    sizes = dict.fromkeys((prediction.perceiver_size, prediction.reasoner_size))
    parts = [prediction.system, *filter(None, sizes), f"seed-{prediction.seed}"]
    return "-".join(parts)
