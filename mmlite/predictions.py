"""Predictions on disk: JSON lines, written whole or not at all."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from mmlite.errors import writing
from mmlite.records import Prediction


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, one line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    lines = (json.dumps(p.to_json(), ensure_ascii=False) for p in predictions)
    try:
        with writing(path):
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_predictions(path: Path, most: int | None = None) -> list[Prediction]:
    """Read predictions.

    Args:
        path: The file.
        most: Read no more than the first so many; None reads all.

    Raises:
        ValueError: If a line is no prediction; the message names file and line.
    """
    predictions = []
    # Only "\n" ends a line: what a model wrote may hold characters that `splitlines` splits at.
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if most is not None and len(predictions) >= most:
                break
            if not line.strip():
                continue
            try:
                predictions.append(Prediction.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} line {number}: is no prediction ({error}); make the file again"
                ) from error
    return predictions
