"""The micro-world as LLaVA-format files, for any trainer that reads that format.

    FOLDER/export.json                    seed, dials, prompts and counts
    FOLDER/images/train-000000.png        pictures
    FOLDER/train/caption.json             one record per picture
    FOLDER/train/extraction.json          one record per question, as are the next two
    FOLDER/train/qa.json                  short answers
    FOLDER/train/multiple_choice.json     lettered options

Image paths in the records are relative to FOLDER. The key `mmlite` of a record holds what is known
of its Example besides turns and images, so that the Example can be rebuilt as it was.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmlite.microworld.examples import caption_example, choice_example, world_example
from mmlite.microworld.questions import Question, Questions
from mmlite.microworld.render import Picture, render
from mmlite.microworld.scene import SPLITS, Scene, Split, WorldConfig, draw_scene_of
from mmlite.prompts import PromptSet, load_prompts
from mmlite.records import IMAGE_PLACEHOLDER, Example
from mmlite.tasks import get_task

FILES = ("caption", "extraction", "qa", "multiple_choice")

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many pictures are done, and how many there are in all."""


@dataclass(frozen=True)
class ExportPlan:
    """What is exported.

    Attributes:
        num_images: Pictures per split.
        questions_per_image: Questions per picture, each of another kind; fewer where a scene
            allows fewer.
        splits: Which splits.
        seed: Decides scenes, pictures and questions.
        config: Difficulty dials.
        prompts: Prompt set, or path of one: `paper` for ordinary English, `micro` for the
            world's own short phrases.
    """

    num_images: int = 100
    questions_per_image: int = 4
    splits: tuple[Split, ...] = SPLITS
    seed: int = 0
    config: WorldConfig = WorldConfig()  # noqa: RUF009
    prompts: str = "paper"

    def __post_init__(self) -> None:
        problems = [
            f"{name}: got {getattr(self, name)}, allowed: 1 or more"
            for name in ("num_images", "questions_per_image")
            if getattr(self, name) < 1
        ]
        unknown = [split for split in self.splits if split not in SPLITS]
        if unknown or not self.splits:
            problems.append(f"splits: got {list(self.splits)}, allowed: some of {list(SPLITS)}")
        if problems:
            raise ValueError("export: " + "; ".join(problems))


def export_world(
    folder: str | Path,
    plan: ExportPlan = ExportPlan(),
    *,
    questions: Questions | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, int]]:
    """Write pictures and LLaVA-format JSON; the folder appears whole or not at all.

    Args:
        folder: Where everything goes; must not be there yet, or be empty.
        plan: What to export.
        questions: The kinds; the built-in ones by default.
        progress: Told after each picture.

    Returns:
        Records by split and file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"export: got {str(folder)!r}, which is a file, allowed: a new or an empty folder; "
            "name another one"
        )
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"export: got {str(folder)!r}, which is not empty, allowed: a new or an empty folder; "
            "name another one or remove it first"
        )
    prompts = load_prompts(plan.prompts)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)  # what a killed export left
    try:
        counts = _write(unfinished, plan, prompts, questions or Questions(), progress)
        unfinished.replace(folder)
    except OSError as error:  # named by what was asked for; a full disk names nothing
        is_ours = error.filename is None or str(error.filename).startswith(str(unfinished))
        if error.errno is not None and is_ours:
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return counts


def _write(
    folder: Path,
    plan: ExportPlan,
    prompts: PromptSet,
    questions: Questions,
    progress: Progress | None,
) -> dict[str, dict[str, int]]:
    (folder / "images").mkdir(parents=True)
    counts: dict[str, dict[str, int]] = {}
    for number, split in enumerate(plan.splits):
        files: dict[str, list[Record]] = {name: [] for name in FILES}
        for row, (picture, asked) in enumerate(draw_export(split, plan, questions)):
            image = f"images/{split}-{row:06d}.png"
            Image.fromarray(render(picture)).save(folder / image)
            for name, record in _records(picture, asked, questions, prompts, image, split, row):
                files[name].append(record)
            if progress:
                progress(number * plan.num_images + row + 1, len(plan.splits) * plan.num_images)
        (folder / split).mkdir()
        for name, records in files.items():
            _write_json(folder / split / f"{name}.json", records)
        counts[split] = {name: len(records) for name, records in files.items()}
    about = {"seed": plan.seed, "world": plan.config.to_json(), "prompts": plan.prompts}
    _write_json(folder / "export.json", {**about, "records": counts})
    return counts


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def draw_export(
    split: Split, plan: ExportPlan, questions: Questions
) -> Iterator[tuple[Picture, list[Question]]]:
    """Draw what is exported of a split: pictures, each with its questions."""
    rng = random.Random(f"export {split} {plan.seed}")
    for _ in range(plan.num_images):
        scene = draw_scene_of(split, rng, plan.config)
        picture = Picture(scene, rng.getrandbits(32), plan.config)
        yield picture, _questions_about(scene, split, plan, questions, rng)


def _questions_about(
    scene: Scene, split: Split, plan: ExportPlan, questions: Questions, rng: random.Random
) -> list[Question]:
    kinds = list(questions.kinds)
    rng.shuffle(kinds)
    picked = (
        questions.pick(kind, scene, rng, held_out_knowledge=split != "train") for kind in kinds
    )
    return [question for question in picked if question is not None][: plan.questions_per_image]


def _records(
    picture: Picture,
    asked: Sequence[Question],
    questions: Questions,
    prompts: PromptSet,
    image: str,
    split: Split,
    row: int,
) -> Iterator[tuple[str, Record]]:
    """Make the records of a picture, each with the file it belongs to."""
    source = f"micro-world-{split}"
    example = caption_example(picture, source=source, row=row)
    yield "caption", llava_record(example, image, prompts.render("caption"), example.caption or "")
    for question in asked:
        example = world_example(picture, question, questions, source=source, row=row)
        prompt = prompts.render(
            "extraction",
            question=example.question,
            info=f'the details that answer "{example.question}"',
        )
        yield "extraction", llava_record(example, image, prompt, example.extraction or "")
        choice = choice_example(picture, question, questions, source=source, row=row)
        for name, it in (("qa", example), ("multiple_choice", choice)):
            task = get_task(it.task)
            prompt = prompts.render(prompts.answer_key(task.name), **task.fields(it))
            yield name, llava_record(it, image, prompt, task.gold(it))


def llava_record(example: Example, image: str, prompt: str, answer: str) -> Record:
    """Return a LLaVA-format record with one question and one answer.

    Args:
        example: What is known, kept under the key `mmlite`.
        image: Path of the picture, relative to the folder that holds all.
        prompt: What the human says, without the image placeholder.
        answer: What is answered.
    """
    known = {
        key: value
        for key, value in example.to_json().items()
        if key not in ("id", "turns", "images")
    }
    return {
        "id": example.id,
        "image": image,
        "conversations": [
            {"from": "human", "value": f"{IMAGE_PLACEHOLDER}\n{prompt}"},
            {"from": "gpt", "value": answer},
        ],
        "mmlite": known,
    }
