"""What a synthesis leaves in its folder: the data, what was left out, a summary and a data card.

    OUT/extraction.jsonl   LLaVA-format records, which data_modules.sources.LLaVA reads back
    OUT/left_out.jsonl     rows that are not in it, one a line: row, id, kind, and what is wrong
    OUT/synthesis.json     counts, teachers, prompts, versions
    OUT/README.md          the data card
    OUT/images/            pictures, where the source has them in no files of their own
    OUT/store/             all that the teachers have written

A record (the key `mmlite` holds what is known of the Example besides turns and images):

    {"id": "7", "image": "cats/7.jpg", "conversations": [
        {"from": "human", "value": "<image>Describe ... pay attention to the number of cats."},
        {"from": "gpt", "value": "Two gray cats sit on a red sofa ..."}], "mmlite": {
        "task": "extraction", "question": "How many cats?", "answers": ["Two."], ...}}
"""

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from mmlite import __version__
from mmlite.errors import writing
from mmlite.files import write_whole
from mmlite.prompts import PromptSet, extraction_prompt
from mmlite.records import IMAGE_PLACEHOLDER
from mmlite.synthesis.card import data_card
from mmlite.synthesis.checks import holds_an_answer, num_statements
from mmlite.synthesis.images import ImagePlaces
from mmlite.synthesis.rows import Rejected, SourceRow
from mmlite.synthesis.spec import SynthesisSpec
from mmlite.synthesis.teachers import Teachers

RECORDS_FILE = "extraction.jsonl"
LEFT_OUT_FILE = "left_out.jsonl"
SUMMARY_FILE = "synthesis.json"
CARD_FILE = "README.md"

LIBRARIES = ("torch", "transformers", "pillow")
"""Of which the summary tells the version: they decide what teachers see and write."""


@dataclass(frozen=True)
class Made:
    """A synthesis whose texts are all there.

    Attributes:
        spec: What was asked for.
        key: Hash of what decides the outcome.
        prompts: The prompts.
        source: The source.
        teachers: The teachers.
        size: Rows that were looked at.
        texts: By role, then by number of the row.
        left_out: In order of the source.
    """

    spec: SynthesisSpec
    key: str
    prompts: PromptSet
    source: Any
    teachers: Teachers
    size: int
    texts: Mapping[str, Mapping[int, str]]
    left_out: Sequence[Rejected]


def is_made(out: Path, key: str) -> bool:
    """Tell whether a folder holds all of a synthesis, as it was written.

    Args:
        out: The folder.
        key: Of the synthesis.
    """
    try:
        summary = json.loads((out / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["key"] != key or not (out / LEFT_OUT_FILE).is_file():
            return False
        return (out / CARD_FILE).is_file() and summary["sha256"] == _hash(out / RECORDS_FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_all(out: Path, made: Made, rows: Callable[[], Iterator[SourceRow]]) -> None:
    """Write everything; each file whole or not at all, the summary, which says so, last.

    Args:
        out: The folder.
        made: What to write.
        rows: Reads the rows that are not left out, in order.
    """
    places = ImagePlaces(out, getattr(made.source, "image_root", None))
    for row in rows():
        places.notice(row.images)
    (out / SUMMARY_FILE).unlink(missing_ok=True)
    counts: Counter[str] = Counter()
    with _written_whole(out / RECORDS_FILE) as file:
        for row in rows():
            record = _record(row, made, places)
            counts.update(_counts(row, made))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    write_left_out(out, made.left_out)
    summary = _summary(out, made, counts, places)
    write_whole(out / CARD_FILE, data_card(summary).encode())
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    write_whole(out / SUMMARY_FILE, text.encode())


def write_left_out(out: Path, left_out: Iterable[Rejected]) -> Path:
    """List the rows that were left out, and return the file."""
    path = out / LEFT_OUT_FILE
    lines = [
        json.dumps({"row": r.number, "id": r.id, "kind": r.kind, "told": r.told}) for r in left_out
    ]
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return path


def _record(row: SourceRow, made: Made, places: ImagePlaces) -> dict[str, Any]:
    """Return the LLaVA-format record of a row."""
    pairs, is_one = row.pairs, len(row.pairs) == 1
    example = replace(
        row.example,
        turns=(),
        images=(),
        task="extraction",
        question="\n".join(pair.subject for pair in pairs),
        answers=pairs[0].answers if is_one else tuple(pair.answers[0] for pair in pairs),
        choices=row.example.choices if is_one else (),
        info=made.texts["info"][row.number],
        extraction=made.texts["describe"][row.number],
    )
    known = {
        key: value
        for key, value in example.to_json().items()
        if key not in ("id", "turns", "images")
    }
    # As a perceiver is asked, without a line break behind the image.
    user = IMAGE_PLACEHOLDER * len(row.images) + extraction_prompt(made.prompts, example)
    images = [places.path(image) for image in row.images]
    return {
        "id": example.id,
        "image": images[0] if len(images) == 1 else images,
        "conversations": [
            {"from": "human", "value": user},
            {"from": "gpt", "value": example.extraction},
        ],
        "mmlite": known,
    }


def _counts(row: SourceRow, made: Made) -> dict[str, int]:
    """Return what a row adds to the counts."""
    texts = {role: texts[row.number] for role, texts in made.texts.items()}
    found = holds_an_answer(texts["describe"], row.pairs, made.spec.checks)
    return {
        "records": 1,
        "questions": len(row.pairs),
        "images": len(row.images),
        "fewer_statements": int(num_statements(texts["statements"]) < len(row.pairs)),
        "descriptions_without_an_answer": int(found is False),
        **{f"words of {role}": len(text.split()) for role, text in texts.items()},
    }


def _summary(out: Path, made: Made, counts: Counter[str], places: ImagePlaces) -> dict[str, Any]:
    spec, teachers = made.spec, made.teachers
    describe = getattr(made.source, "describe", None)
    records = counts["records"]
    words = {role: counts[f"words of {role}"] / records for role in made.texts} if records else {}
    left_out = Counter(rejected.kind for rejected in made.left_out)
    return {
        "name": spec.name,
        "key": made.key,
        "sha256": _hash(out / RECORDS_FILE),
        "rows": made.size,
        "records": records,
        "questions": counts["questions"],
        "images": counts["images"],
        "left_out": dict(sorted(left_out.items())),
        "kept_but_counted": {
            key: counts[key] for key in ("fewer_statements", "descriptions_without_an_answer")
        },
        "mean_words": {role: round(mean, 2) for role, mean in words.items()},
        "source": {
            **spec.source,
            "split": spec.split,
            "describe": dict(describe(spec.split)) if describe else {},
        },
        "image_root": str(made.source.image_root) if places.are_kept else ".",
        "image_px": spec.image_px,
        "teachers": {
            role: {
                "name": teachers.name(role),
                **getattr(spec, role),
                "decoding": asdict(teachers.decodings[role]),
            }
            for role in sorted(teachers.models)
        },
        "prompts": {"name": made.prompts.name, "source": made.prompts.source},
        "limit": spec.limit,
        "seed": spec.seed,
        "checks": asdict(spec.checks),
        "versions": {
            "mmlite": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


@contextmanager
def _written_whole(path: Path) -> Iterator[IO[str]]:
    """Open a file for writing that is there, whole, when the block ends."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    for old in path.parent.glob(f".{path.name}.*.part"):  # what a killed process left
        old.unlink()
    try:
        with writing(path):
            with part.open("w", encoding="utf-8", newline="\n") as file:
                yield file
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
