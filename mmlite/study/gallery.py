"""Examples for the report: picture, extraction judged fact by fact, derivation and answer."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmlite.images import open_image
from mmlite.predictions import read_predictions
from mmlite.records import Example, Prediction
from mmlite.scenes import kind_of
from mmlite.study.spec import StudySpec

SYSTEMS = ("extract_think", "extract_answer", "caption_think", "caption_answer")
"""Systems whose work can be shown; the first that a study has is."""


def gallery(study: StudySpec, out: Path, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Choose examples of every category: a right and a wrong answer where there are both.

    The first of each category in the order of the questions is taken, so that nobody picks
    cherries; first those of the largest size, then those of the smallest.

    Args:
        study: The study.
        out: Its folder, with predictions.
        examples: The questions of its first seed.
    """
    by_id = {example.id: example for example in examples}
    shown = [study.sizes[-1], study.sizes[0]] if len(study.sizes) > 1 else study.sizes
    chosen = []
    everything = list(_predictions(out, study.seeds[0], shown))
    for size in shown:
        of_size = [p for p in everything if {p.perceiver_size, p.reasoner_size} == {size}]
        system = next((s for s in SYSTEMS if any(p.system == s for p in of_size)), None)
        mine = [p for p in of_size if p.system == system]
        for category in dict.fromkeys(p.category for p in mine):
            of_kind = [p for p in mine if p.category == category and p.id in by_id]
            right = [p for p in of_kind if p.correct][: study.evaluation.examples_per_kind]
            wrong = [p for p in of_kind if not p.correct][: study.evaluation.examples_per_kind]
            chosen += [_entry(p, by_id[p.id]) for p in right + wrong]
    return chosen


def _predictions(out: Path, seed: int, sizes: Sequence[str]) -> Iterable[Prediction]:
    """Yield what reasoners of some sizes answered with a seed."""
    for path in sorted((out / "predictions").glob("*.jsonl")):
        # One job wrote a file, with one seed and one reasoner: the first tells of them all.
        if any(p.seed == seed and p.reasoner_size in sizes for p in read_predictions(path, most=1)):
            yield from read_predictions(path)


def _entry(prediction: Prediction, example: Example) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "system": prediction.system,
        "size": prediction.reasoner_size,
        "category": prediction.category,
        "image_png_base64": _png(example) if example.images else None,
        "question": prediction.question,
        "gold": ", ".join(prediction.gold),
        "clauses": _clauses(prediction.extraction or "", example),
        "derivation": prediction.output,
        "answer": prediction.parsed,
        "correct": prediction.correct,
    }


def _clauses(text: str, example: Example) -> list[dict[str, str]]:
    kind = kind_of(example.scene)
    if kind is None or example.scene is None or example.extraction is None:
        return [{"text": text, "status": "true"}] if text else []
    judged = kind.judge(text, example.extraction, example.scene)
    return [{"text": clause, "status": status} for clause, status in judged]


def _png(example: Example) -> str:
    buffer = io.BytesIO()
    Image.fromarray(open_image(example.images[0])).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
