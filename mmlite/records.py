"""The records that flow through everything: Turn, ImageRef, Example and Prediction.

Plain frozen dataclasses without torch. Every record survives a round trip through JSON
(`to_json` and `from_json`), so that data, predictions and caches are readable text on disk.
"""

import base64
import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Literal, Self

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")

IMAGE_PLACEHOLDER = "<image>"
"""Marks in a turn's text where an image goes; one per image, in order."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        text: What is said; `<image>` marks the place of an image.
        trained: Whether a stage learns to write this turn.
    """

    role: Role
    text: str
    trained: bool = False

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"Turn.role: got {self.role!r}, allowed: {', '.join(ROLES)}")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        return {"role": self.role, "text": self.text, "trained": self.trained}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a turn from what `to_json` returned."""
        return cls(role=value["role"], text=value["text"], trained=bool(value["trained"]))


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image is: a file, encoded bytes, or a micro-world scene to render.

    Exactly one of the three is given.

    Attributes:
        path: Path of an image file; relative paths are under the source's image root.
        span: Offset and size in bytes of the image within the file, as in a tar archive; null:
            the whole file.
        data: Encoded image bytes (PNG, JPEG, ...).
        scene: A micro-world picture, as `mmlite.microworld.Picture.to_json` wrote it.
    """

    path: str | None = None
    data: bytes | None = None
    scene: Mapping[str, Any] | None = None
    span: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        given = [n for n in ("path", "data", "scene") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"ImageRef: got {given or 'nothing'}, allowed: exactly one of path, data, scene"
            )
        if self.span is not None and self.path is None:
            raise ValueError(f"ImageRef.span: got {self.span} without a path, allowed: with a path")

    @property
    def origin(self) -> tuple[str | None, tuple[int, int] | None, bytes | None] | None:
        """File, span and bytes, by which it is the same image as another; None for a scene."""
        return None if self.scene is not None else (self.path, self.span, self.data)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping; bytes become base64 text."""
        if self.path is not None:
            return {"path": self.path} | ({} if self.span is None else {"span": list(self.span)})
        if self.data is not None:
            return {"data": base64.b64encode(self.data).decode("ascii")}
        return {"scene": self.scene}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a reference from what `to_json` returned."""
        data, span = value.get("data"), value.get("span")
        return cls(
            path=value.get("path"),
            data=None if data is None else base64.b64decode(data),
            scene=value.get("scene"),
            span=None if span is None else (span[0], span[1]),
        )


@dataclass(frozen=True, slots=True)
class Example:
    """One item of data: images, turns, and what is known of it.

    Attributes:
        id: Unique within its source.
        turns: The conversation, oldest first.
        images: One reference per `<image>` placeholder, in order.
        task: Name of the task that made the turns and scores the answer (`mmlite.tasks`).
        question: What is asked, without any prompt around it; empty for captions.
        category: Kind of question, for tables by category.
        group: Group of categories, for tables by group.
        choices: Options of a multiple-choice question, in order.
        answers: Gold answers; any of them is right.
        info: What of the image the question is about, in the words of a prompt that does not
            hold the question: `the color of the car` (arXiv:2511.17487, supplement, figure A5);
            empty if nobody wrote it.
        extraction: Gold question-relevant visual details, where the source knows them.
        caption: Gold description of the image without a question, where known.
        scene: Ground truth of the image, where the source knows it.
        source: Name of the source it was read from.
        row: Row in that source, from 0.
        cluster: Shared by Examples that are not independent of each other, such as those about
            permutations of one picture; empty for one that stands alone.
        place: File and place in it, as errors name them, such as `train.json row 7`; empty if it
            was read from no file. It says nothing of the item, and is not kept with it.
    """

    id: str
    turns: tuple[Turn, ...]
    images: tuple[ImageRef, ...] = ()
    task: str = ""
    question: str = ""
    category: str = ""
    group: str = ""
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    info: str = ""
    extraction: str | None = None
    caption: str | None = None
    scene: Mapping[str, Any] | None = None
    source: str = ""
    row: int = 0
    cluster: str = ""
    place: str = field(default="", compare=False)

    @property
    def row_name(self) -> str:
        """What errors call it: its file and place in it, else its source and row; and its id."""
        place = self.place or f"{self.source or 'unnamed source'} row {self.row}"
        return f"{place} ({self.id})"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        value = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        value["turns"] = [turn.to_json() for turn in self.turns]
        value["images"] = [image.to_json() for image in self.images]
        value["choices"] = list(self.choices)
        value["answers"] = list(self.answers)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild an example from what `to_json` returned.

        Raises:
            ValueError: If a value is of another kind than its field.
        """
        known = dict(value)
        _check_kinds(known)
        known["turns"] = tuple(Turn.from_json(turn) for turn in value["turns"])
        known["images"] = tuple(ImageRef.from_json(image) for image in value["images"])
        known["choices"] = tuple(value["choices"])
        known["answers"] = tuple(value["answers"])
        return cls(**known)


_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "turns": ((list, tuple), "a list"),
    "images": ((list, tuple), "a list"),
    "choices": ((list, tuple), "a list of texts"),
    "answers": ((list, tuple), "a list of texts"),
    "extraction": ((str, NoneType), "a text or null"),
    "caption": ((str, NoneType), "a text or null"),
    "scene": ((Mapping, NoneType), "an object or null"),
    "row": ((int,), "a whole number"),
}
"""Of an Example's fields in JSON; all others are texts."""


def _check_kinds(value: Mapping[str, Any]) -> None:
    """Refuse values of an Example in JSON that are of another kind than their fields."""
    for name, found in value.items():
        kinds, allowed = _KINDS.get(name, ((str,), "a text"))
        texts = found if name in ("choices", "answers") and isinstance(found, kinds) else ()
        if not isinstance(found, kinds) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name}: got {reprlib.repr(found)}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one system answered to one question, with all a report needs to score it again.

    Attributes:
        id: The example's id.
        seed: Seed of the run that made it.
        system: Name of the system, such as `end_to_end` or `extract_think`.
        perceiver: What saw the image, such as `extract` or `oracle_question`.
        perceiver_size: Name of the perceiver's language-model size; empty if it has none.
        reasoner: What answered, such as `think` or `symbolic`.
        reasoner_size: Name of the reasoner's language-model size; empty if it has none.
        category: Kind of question.
        group: Group of categories.
        question: What was asked.
        gold: Gold answers; any is right.
        extraction: What the perceiver wrote; null for an end-to-end system.
        output: What the answering model wrote, whole.
        parsed: The answer read from `output`; null when unreadable.
        correct: Whether `parsed` is right; an unreadable answer is not.
        scene: Ground truth of the image, where known.
        facts: Counts of facts of the extraction, where a scene is known:
            found, missed, invented, and true (written and in the scene).
        cluster: Of the example: questions of one cluster are not independent of each other.
    """

    id: str
    seed: int
    system: str
    perceiver: str
    perceiver_size: str
    reasoner: str
    reasoner_size: str
    category: str
    group: str
    question: str
    gold: tuple[str, ...]
    output: str
    parsed: str | None
    correct: bool
    extraction: str | None = None
    scene: Mapping[str, Any] | None = None
    facts: Mapping[str, int] | None = field(default=None)
    cluster: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable mapping."""
        value = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        value["gold"] = list(self.gold)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a prediction from what `to_json` returned."""
        known = dict(value)
        known["gold"] = tuple(value["gold"])
        return cls(**known)


def content_key(*parts: Any) -> str:
    """Hash JSON-serialisable parts and bytes into a key that changes when any of them does.

    Args:
        parts: Strings, numbers, bytes, or nested lists and mappings of them.

    Returns:
        32 hexadecimal digits (BLAKE2b, 128 bits).
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, bytes):
            encoded = b"b" + part
        else:
            text = json.dumps(part, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            encoded = b"j" + text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
