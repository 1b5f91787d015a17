"""Reading what a study says of itself: `study.json` and `gallery.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "created": str,
    "mmlite_version": str,
    "versions": dict,
    "seeds": list,
    "sizes": list,
    "models": list,
    "groups": dict,
    "runs": list,
    "evaluations": list,
    "total_seconds": (int, float),
    "chance": dict,
    "command": str,
    "notes": list,
    "limits": list,
}
"""What `study.json` may say, and the type of each part."""

_KIND_WORDS = {str: "a text", dict: "a mapping", list: "a list", (int, float): "a number"}
_PNG_START = "iVBORw0KGgo"


@dataclass(frozen=True, slots=True)
class Size:
    """A size of language model.

    Attributes:
        name: As in the predictions.
        parameters: All parameters; None where the study does not say.
        non_embedding_parameters: Without embeddings; None where the study does not say.
    """

    name: str
    parameters: int | None = None
    non_embedding_parameters: int | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """What a study says of itself; every part may be missing.

    Attributes:
        about: The file's content.
        sizes: Sizes, small to large.
        groups: Group to its kinds of questions.
        gallery: Examples to show.
    """

    about: Mapping[str, Any]
    sizes: tuple[Size, ...]
    groups: Mapping[str, tuple[str, ...]]
    gallery: tuple[Mapping[str, Any], ...]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The training runs."""
        return list(self.about.get("runs", ()))

    @property
    def published(self) -> list[str]:
        """Names of the models of others that played a role."""
        return [str(entry["name"]) for entry in self.about.get("models", ())]

    @property
    def chance(self) -> dict[str, float]:
        """Kind of question to the accuracy of its best constant guess."""
        return dict(self.about.get("chance", {}))


def load_study(folder: Path) -> Study:
    """Read `study.json` and `gallery.json`, where they are; predictions alone make a report too."""
    path = folder / "study.json"
    if not path.is_file() and not (folder / "predictions").is_dir():
        raise ValueError(
            f"{folder}: got neither predictions nor study.json in it, allowed: the folder of a "
            "study; give that folder, or run the study first"
        )
    about = _read(path) if path.is_file() else {}
    if not isinstance(about, dict):
        raise ValueError(
            f"{path}: got {type(about).__name__}, allowed: a mapping; run the study again"
        )
    problems = [
        f"{key}: got {type(about[key]).__name__}, allowed: {_KIND_WORDS[kind]}"  # type: ignore[index]
        for key, kind in KINDS.items()
        if key in about and not isinstance(about[key], kind)
    ]
    if not problems:
        problems = [
            f"{key}[{number}]: got {type(entry).__name__}, allowed: a mapping with a name"
            for key in ("sizes", "models", "runs", "evaluations")
            for number, entry in enumerate(about.get(key, ()))
            if not isinstance(entry, dict) or "name" not in entry
        ]
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}; correct the file or run the study again")
    return Study(
        about=about,
        sizes=tuple(
            Size(entry["name"], entry.get("parameters"), entry.get("non_embedding_parameters"))
            for entry in about.get("sizes", ())
        ),
        groups={group: tuple(kinds) for group, kinds in about.get("groups", {}).items()},
        gallery=_gallery(folder / "gallery.json"),
    )


def _gallery(path: Path) -> tuple[Mapping[str, Any], ...]:
    if not path.is_file():
        return ()
    entries = _read(path)
    if not isinstance(entries, list):
        raise ValueError(
            f"{path}: got {type(entries).__name__}, allowed: a list; run the study again"
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or "id" not in entry:
            raise ValueError(f"{path}, entry {number}: allowed: a mapping with an id")
        image = entry.get("image_png_base64") or _PNG_START
        if not str(image).startswith(_PNG_START):
            raise ValueError(
                f"{path}, entry {number}: image_png_base64 begins {str(image)[:12]!r}, allowed: "
                f"a PNG image in base64; correct the entry or run the study again"
            )
    return tuple(entries)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not readable as JSON ({error}); correct the file or run the study again"
        ) from error
