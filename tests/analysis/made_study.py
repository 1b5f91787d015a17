"""A made-up study folder: predictions drawn from chosen chances, as a real study leaves them."""

import base64
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mmlite.records import Prediction

KINDS = {
    "vision": ("count", "attribute", "locate", "read_digit"),
    "reasoning": ("compare", "add_digits", "multi_hop"),
    "language": ("book", "arithmetic"),
}
SIZES = {"xs": 9_000, "s": 42_000, "m": 140_000, "l": 420_000}
SYSTEMS = (
    ("end_to_end", "end_to_end", "end_to_end"),
    ("end_to_end_blind", "end_to_end", "end_to_end"),
    ("extract_answer", "extract", "answer"),
    ("caption_think", "caption", "think"),
    ("extract_symbolic", "extract", "symbolic"),
    ("oracle_question_think", "oracle_question", "think"),
    ("oracle_scene_think", "oracle_scene", "think"),
    ("oracle_caption_think", "oracle_caption", "think"),
    ("blind_think", "blind", "think"),
)
HOSTILE = "<script>alert('x')</script> & \"quoted\""


def seeing(perceiver: str, rank: int) -> float:
    """Return how much of what is needed a perceiver writes down."""
    return {"extract": 0.45 + 0.17 * rank, "caption": 0.3 + 0.06 * rank, "blind": 0.05}.get(
        perceiver, 0.98
    )


def chance_right(system: str, group: str, see: float, think: float) -> float:
    """Return how likely a system is right."""
    if group == "language":
        return 0.72 + 0.22 * think
    if system.startswith("end_to_end"):
        return 0.27 if system.endswith("blind") else 0.36 + 0.16 * think
    base = 0.25 + 0.73 * see * (1 if group == "vision" else think)
    return base - (0.12 if system.endswith("answer") else 0.0)


def predictions_of(
    questions: Sequence[tuple[str, str, str]],
    names: tuple[str, str, str],
    ranks: tuple[int, int],
    seed: int,
) -> list[Prediction]:
    """Draw the answers of one system; the perceiver's facts depend on perceiver and question."""
    system, perceiver, reasoner = names
    sized = list(SIZES)
    see, think = seeing(perceiver, ranks[0]), 0.55 + 0.14 * ranks[1]
    seen_by = "" if perceiver.startswith(("oracle", "blind")) else sized[ranks[0]]
    thought_by = "" if reasoner == "symbolic" else sized[ranks[1]]
    made = []
    for identity, kind, group in questions:
        rng = random.Random(f"{identity} {seed} {names} {ranks}")
        right = rng.random() < chance_right(system, group, see, think)
        unread = not right and rng.random() < 0.05
        made.append(
            Prediction(
                id=identity,
                seed=seed,
                system=system,
                perceiver=perceiver,
                perceiver_size=seen_by,
                reasoner=reasoner,
                reasoner_size=thought_by,
                category=kind,
                group=group,
                question=f"what about {identity} ?",
                gold=("red",),
                output="answer: red" if right else "answer: blue",
                parsed=None if unread else ("red" if right else "blue"),
                correct=right,
                extraction=None if perceiver == "end_to_end" else "center red star.",
                facts=_facts(f"{identity} {seed} {perceiver} {ranks[0]}", see, group)
                if perceiver in ("extract", "caption", "oracle_question")
                else None,
            )
        )
    return made


def _facts(name: str, see: float, group: str) -> dict[str, int]:
    rng = random.Random(name)
    needed = 0 if group == "language" else rng.randint(1, 5)
    found = sum(rng.random() < see for _ in range(needed))
    missed = needed - found
    invented = sum(rng.random() < 0.7 for _ in range(missed))
    return {"found": found, "missed": missed, "invented": invented, "true": found}


def make_study_folder(
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    per_kind: int = 12,
    title: str = "Made up",
    own_pictures: bool = False,
) -> Path:
    """Write a study folder with predictions, `study.json` and `gallery.json`.

    Seeds ask the same questions, as a fixed test set does, or each of its own pictures, as the
    micro-world does.
    """
    (folder / "predictions").mkdir(parents=True)
    questions = [
        (f"{kind}-{number}", kind, group)
        for group, kinds in KINDS.items()
        for kind in kinds
        for number in range(per_kind)
    ]
    for seed in seeds:
        scene = {"objects": [], "seed": seed} if own_pictures else None
        for names in SYSTEMS:
            made = [
                p
                for rank in range(len(SIZES))
                for p in predictions_of(questions, names, (rank, rank), seed)
            ]
            _write_lines(folder / "predictions" / f"{names[0]}-{seed}.jsonl", made, scene)
        grid = [
            p
            for sees in range(len(SIZES))
            for thinks in range(len(SIZES))
            for p in predictions_of(
                questions, ("extract_think", "extract", "think"), (sees, thinks), seed
            )
        ]
        _write_lines(folder / "predictions" / f"grid-{seed}.jsonl", grid, scene)
    (folder / "study.json").write_text(json.dumps(_about(seeds, title)))
    (folder / "gallery.json").write_text(json.dumps(_gallery()))
    return folder


def _write_lines(
    path: Path, predictions: Sequence[Prediction], scene: dict[str, object] | None
) -> None:
    lines = (json.dumps({**p.to_json(), "scene": scene}) + "\n" for p in predictions)
    path.write_text("".join(lines))


def _about(seeds: Sequence[int], title: str) -> dict[str, object]:
    runs = []
    for seed in seeds:
        for stage, start in (("language", 4.2), ("instruction", 2.4), ("extraction", 3.1)):
            for rank, size in enumerate(SIZES):
                floor = 0.6 / (1 + rank)
                curve = [[s, floor + start * 0.97**s / (1 + rank / 3)] for s in range(0, 300, 5)]
                runs.append(
                    {
                        "name": f"seed{seed}/{stage}-{size}",
                        "stage": stage,
                        "size": size,
                        "seed": seed,
                        "seconds": 11.5 * (rank + 1),
                        "steps": 300,
                        "images": 0 if stage == "language" else 9_600,
                        "supervised_tokens": 153_000,
                        "all_tokens": 812_345,
                        "final_loss": curve[-1][1],
                        "curve": curve,
                        "flattened": not (stage == "extraction" and size == "l"),
                    }
                )
    return {
        "name": "made-up",
        "title": title,
        "created": "2026-01-02T03:04:05+00:00",
        "mmlite_version": "0.1.0",
        "versions": {"torch": "2.11.0", "timm": "1.0.20"},
        "seeds": list(seeds),
        "sizes": [
            {"name": name, "parameters": count + 6_000, "non_embedding_parameters": count}
            for name, count in SIZES.items()
        ],
        "groups": {group: list(kinds) for group, kinds in KINDS.items()},
        "runs": runs,
        "evaluations": [{"name": "grid", "seconds": 33.0}],
        "total_seconds": 432.1,
        "chance": {kind: 0.25 for kinds in KINDS.values() for kind in kinds},
        "command": "mmlite study experiments/micro/study.yaml",
        "notes": ["Questions are of the test split."],
        "limits": ["One world, one family of models."],
    }


def _gallery() -> list[dict[str, object]]:
    entries = []
    for size in ("l", "xs"):
        for number, color in enumerate(((176, 60, 50), (60, 90, 170), (70, 140, 90))):
            content = io.BytesIO()
            picture = Image.new("RGB", (48, 48), (225, 222, 214))
            picture.paste(color, (8 + 9 * number, 12, 26 + 9 * number, 30))
            picture.save(content, format="PNG")
            wrong = size == "xs" and number > 0
            clauses = [
                {"text": "top-left large red circle 7", "status": "found"},
                {"text": "center blue star", "status": "invented" if wrong else "true"},
            ]
            if wrong:
                clauses.append({"text": "bottom-right small red cross 2", "status": "missed"})
            entries.append(
                {
                    "id": f"add_digits-{number}",
                    "system": "extract_think",
                    "size": size,
                    "image_png_base64": base64.b64encode(content.getvalue()).decode(),
                    "question": "what is the sum of the digits on red things ?",
                    "gold": "9",
                    "clauses": clauses,
                    "derivation": "circle 7. cross 2. 7 plus 2 is 9. answer: 9"
                    if not wrong
                    else f"circle 7. cross unknown. {HOSTILE} answer: 7",
                    "answer": None if wrong and number == 2 else ("7" if wrong else "9"),
                    "correct": not wrong,
                }
            )
    return entries
