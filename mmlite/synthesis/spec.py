"""The synthesis file: which rows, which teachers, which checks."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from mmlite.config.files import check_keys
from mmlite.config.near import did_you_mean, first_broken_yaml, near_file
from mmlite.prompts import PromptSet, load_prompts

SPLITS = ("train", "validation", "test")
TEMPLATES = ("question_info", "pair", "statements", "statements.many", "grounded_description")
"""Prompts that a set needs besides `extraction`."""

NEEDED = ("name", "source", "statements", "describe", "info")


@dataclass(frozen=True)
class Checks:
    """Which rows are left out for what a teacher wrote.

    Empty and cut texts always are. Leaks are looked for in whole words, without case: an info may
    hold no answer and no question. Not looked for are `yes` and `no`, answers shorter than
    `min_answer_characters`, and answers that a question of the row names itself, for an info has
    to say what a question is about.

    Attributes:
        leaks: Whether rows with a leak are left out.
        min_answer_characters: Shortest answer that is looked for, in letters and digits.
        max_left_out_fraction: Share of all rows that may be left out before it stops; rows
            without an image or a question do not count.
    """

    leaks: bool = True
    min_answer_characters: int = 3
    max_left_out_fraction: float = 0.1

    def problems(self) -> list[str]:
        """Return what is wrong with the values."""
        found = []
        if self.min_answer_characters < 1:
            found.append(
                f"min_answer_characters: got {self.min_answer_characters}, allowed: 1 or more"
            )
        if not 0 <= self.max_left_out_fraction <= 1:
            found.append(
                f"max_left_out_fraction: got {self.max_left_out_fraction}, allowed: 0 to 1"
            )
        return found


@dataclass(frozen=True)
class SynthesisSpec:
    """What to make.

    Attributes:
        name: Of the data, and of its folder.
        source: Class path and arguments of the question-answer data.
        statements: Class path and arguments of the model that turns questions and answers into
            statements; it sees no image.
        describe: Of the model that describes the image and holds the statements true.
        info: Of the model that tells what a question is about; it sees neither image nor answer.
        split: Split of the source.
        prompts: Prompt set by name or path.
        limit: Use the first so many rows; null: all.
        seed: Given to a source that takes one, and to teachers that sample and name none.
        image_px: Width and height that images are stretched to for the teacher, as in the paper
            (512); null shows them as they are. The data names the images as they are.
        checks: Which rows are left out.
        path: The file it was read from.
    """

    name: str
    source: dict[str, Any]
    statements: dict[str, Any]
    describe: dict[str, Any]
    info: dict[str, Any]
    split: str = "train"
    prompts: str = "paper"
    limit: int | None = None
    seed: int = 0
    image_px: int | None = None
    checks: Checks = field(default_factory=Checks)
    path: Path = Path()

    @classmethod
    def read(cls, path: Path, changes: Mapping[str, Any] | None = None) -> Self:
        """Read and check a synthesis file.

        Args:
            path: The file.
            changes: Values that win over the file's, by key; dots lead into mappings.

        Raises:
            ValueError: If the file is missing, is no YAML, or has wrong keys or values.
        """
        if not path.is_file():
            raise ValueError(f"synthesize: got {near_file(str(path))}")
        if broken := first_broken_yaml([path]):
            raise ValueError(f"synthesize: {broken}")
        check_keys([path])
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, given in (changes or {}).items():
            value = _changed(value, key.split("."), given)
        _check_keys(value, cls, "", path)
        if missing := [key for key in NEEDED if key not in value]:
            raise ValueError(
                f"synthesize {path}: got no {', '.join(missing)}; a synthesis needs "
                f"{', '.join(NEEDED)}"
            )
        checks = value.get("checks") or {}
        _check_keys(checks, Checks, "checks", path)
        spec = cls(**{**value, "checks": Checks(**checks), "path": path})
        spec.check()
        return spec

    def check(self) -> None:
        """Refuse wrong values.

        Raises:
            ValueError: All of them in one message.
        """
        problems = [f"checks.{problem}" for problem in self.checks.problems()]
        if re.fullmatch(r"[\w.+-]+", self.name) is None or not self.name.strip("."):
            problems.append(f"name: got {self.name!r}, allowed: letters, digits and . _ + -")
        if self.split not in SPLITS:
            problems.append(f"split: got {self.split!r}, allowed: {', '.join(SPLITS)}")
        for key in ("limit", "image_px"):
            given = getattr(self, key)
            if given is not None and given < 1:
                problems.append(f"{key}: got {given}, allowed: 1 or more, or null")
        if self.seed < 0:
            problems.append(f"seed: got {self.seed}, allowed: 0 or more")
        if problems:
            raise ValueError(f"synthesize {self.path}: " + "; ".join(problems))

    def prompt_set(self) -> PromptSet:
        """Return the prompts, of a file beside the synthesis file or where the command is given.

        Raises:
            ValueError: If there is no such set, or it lacks a prompt.
        """
        beside = self.path.parent / self.prompts
        prompts = load_prompts(str(beside) if beside.is_file() else self.prompts)
        if missing := [key for key in (*TEMPLATES, "extraction") if key not in prompts.templates]:
            raise ValueError(
                f"prompts: got {self.prompts!r}, which has no {', '.join(missing)}, allowed: "
                "paper, or a file with `base: paper` that says what differs"
            )
        return prompts

    def to_json(self) -> dict[str, Any]:
        """Return what decides the data."""
        value = dataclasses.asdict(self)
        del value["path"]
        return value


KEYS = tuple(f.name for f in dataclasses.fields(SynthesisSpec) if f.name != "path")
"""Of a synthesis file."""


def _changed(value: Any, keys: Sequence[str], given: Any) -> dict[str, Any]:
    """Return a copy of nested mappings with one value changed; teachers may share a mapping."""
    inner = value if isinstance(value, Mapping) else {}
    if len(keys) > 1:
        given = _changed(inner.get(keys[0]), keys[1:], given)
    return {**inner, keys[0]: given}


def _check_keys(value: Any, kind: type, key: str, path: Path) -> None:
    """Check that a mapping has the keys of a dataclass, with values of their kinds."""
    where = f"synthesize {path}: " + (f"{key}: " if key else "")
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}got {value!r}, allowed: a mapping of keys")
    kinds = [f.name for f in dataclasses.fields(kind) if f.name != "path"]
    for name, given in value.items():
        if name not in kinds:
            near = did_you_mean(str(name), kinds) or "; correct or remove it"
            raise ValueError(f"{where}got key {name!r}, allowed: {', '.join(kinds)}{near}")
        allowed = _KINDS.get(str(name))
        if allowed and not _is_of(given, allowed[0]):
            raise ValueError(f"{where}{name}: got {given!r}, allowed: {allowed[1]}")


_MODEL = ((dict,), "a mapping of class_path and init_args")
_COUNT = ((int, type(None)), "a whole number, or null")
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("name", "split", "prompts"), ((str,), "a text")),
    **dict.fromkeys(("source", "statements", "describe", "info"), _MODEL),
    **dict.fromkeys(("limit", "image_px"), _COUNT),
    "seed": ((int,), "a whole number"),
    "checks": ((dict, type(None)), "a mapping of leaks and others"),
    "leaks": ((bool,), "true or false"),
    "min_answer_characters": ((int,), "a whole number"),
    "max_left_out_fraction": ((int, float), "a number from 0 to 1"),
}
"""What the keys may hold."""


def _is_of(given: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(given, kinds) and (bool in kinds or not isinstance(given, bool))
