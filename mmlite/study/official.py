"""Predictions in the format of a corpus's official scorer, beside those of the study."""

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
        for prediction in read_predictions(path):
            systems.setdefault(_name(prediction), []).append(prediction)
    written = []
    for name, predictions in systems.items():
        kind = kind_of(predictions[0].scene)
        if kind is not None and kind.write_official is not None:
            written.append(out / OFFICIAL / f"{name}.csv")
            kind.write_official(written[-1], predictions)
    return written


def _name(prediction: Prediction) -> str:
    sizes = dict.fromkeys((prediction.perceiver_size, prediction.reasoner_size))
    parts = [prediction.system, *filter(None, sizes), f"seed-{prediction.seed}"]
    return "-".join(parts)
