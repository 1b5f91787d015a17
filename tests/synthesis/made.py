"""Small data, scripts and synthesis files of these tests, and the command run on them."""

import json
from pathlib import Path
from typing import Any

import yaml
from tiny import png

from mmlite.cli.main import main

SCRIPT = {
    "info": {
        "How many cats": "Contents to observe: the number of cats.",
        "What color": "<think>Contents to observe: x</think>Contents to observe: the color of them",
        "Is it red": "Contents to observe: whether it is red",
    },
    "statements": {
        "How many cats": "There are two cats.\nThe cats are gray.",
        "Is it red": "It is not red.",
    },
    "describe": {
        "two cats": "<think>Hm.</think>Two gray cats sit on a sofa.",
        "not red": "A blue square.",
    },
}
TALK = ("How many cats are there?", "two", "What color are they?", "gray")
SHORT = ("Is it red?", "no")


def talk(name: str, images: list[str], *said: str, **known: Any) -> dict[str, Any]:
    """A record of a conversation; questions and answers by turns."""
    places = "<image>\n" * len(images)
    turns = [
        {"from": "gpt" if number % 2 else "human", "value": text if number else places + text}
        for number, text in enumerate(said)
    ]
    record: dict[str, Any] = {"id": name, "conversations": turns}
    if images:
        record["image"] = images[0] if len(images) == 1 else images
    return {**record, "mmlite": known} if known else record


def write_images(folder: Path, number: int) -> None:
    for image in range(number):
        (folder / f"{image}.png").write_bytes(png(image, 16 + image))


def llava(folder: Path, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Write records with their images, and return the source that reads them."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_images(folder / "images", 4)
    path = folder / "qa.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = {"train": str(path), "image_root": str(folder / "images"), "name": "qa"}
    return {"class_path": "data_modules.sources.LLaVA", "init_args": arguments}


def teacher(
    folder: Path, script: dict[str, Any] | None = None, *, name: str = "script", **arguments: Any
) -> dict[str, Any]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(SCRIPT if script is None else script))
    given = {"script": str(path), **arguments}
    return {"class_path": "synthesis.scripted.Scripted", "init_args": given}


def spec_file(folder: Path, source: dict[str, Any], **changes: Any) -> Path:
    """Write a synthesis file with one teacher for all roles, and return it."""
    asked = changes.pop("teacher", None) or teacher(folder)
    spec = {
        "name": "made",
        "source": source,
        **dict.fromkeys(("statements", "describe", "info"), asked),
        **changes,
    }
    path = folder / "synthesis.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def synthesize(spec: Path, out: Path, *more: str) -> int:
    return main(["synthesize", str(spec), "--out", str(out), *more])


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def asked(folder: Path, name: str = "script") -> list[list[Any]]:
    """What a teacher was asked: role, prompt, shapes of the images, decoding."""
    path = folder / f"{name}.log"
    return lines(path) if path.is_file() else []


def files_of(out: Path) -> dict[str, bytes]:
    """What a synthesis leaves, without its store."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "store" not in path.parts
    }
