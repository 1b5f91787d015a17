"""A teacher that writes what a script says, and notes what it was asked.

The script is a JSON file of roles (`info`, `statements`, `describe`) to what is written where a
prompt holds some words; `CUT` at the end of a text is a budget that ran out.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmlite.generation import Decoding, Generation, Request
from mmlite.images import open_image
from mmlite.interop import PublishedModel
from mmlite.records import content_key
from mmlite.systems import PerceptionStore, StoredEngine

CUT = " CUT"
MARKS = {
    "concise instruction": "info",
    "declarative statement": "statements",
    "fine-grained content": "describe",
}
OTHERWISE = {
    "info": "Contents to observe: the thing.",
    "statements": "It is so.",
    "describe": "A picture.",
}


class ScriptedEngine:
    """Answers one request at a time."""

    def __init__(self, script: Mapping[str, Any], log: Path, seconds: float) -> None:
        self.script = script
        self.log = log
        self.seconds = seconds
        self.fingerprint = content_key(script)

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,
        *,
        keep: Callable[[Mapping[int, Generation]], None] | None = None,
    ) -> list[Generation]:
        for request in requests:
            self.request_key(request)  # images that cannot be read stop it before it begins
        made = []
        for place, request in enumerate(requests):
            time.sleep(self.seconds)
            made.append(self._answer(request, decoding))
            if keep is not None:
                keep({place: made[-1]})
        return made

    def request_key(self, request: Request) -> str:
        pixels = [open_image(ref) for ref in request.images]
        images = [[list(p.shape), hashlib.sha256(p.tobytes()).hexdigest()] for p in pixels]
        return content_key([turn.text for turn in request.turns], images)

    def _answer(self, request: Request, decoding: Decoding) -> Generation:
        (text,) = (turn.text for turn in request.turns)
        role = next(role for mark, role in MARKS.items() if mark in text)
        shapes = [list(open_image(ref).shape) for ref in request.images]
        line = json.dumps([role, text, shapes, decoding.to_json()])
        with self.log.open("a") as file:
            file.write(line + "\n")
        asked = text.rpartition("Question: ")[2] if role == "info" else text
        said = self.script.get(role, {})
        found = next((said[words] for words in said if words in asked), OTHERWISE[role])
        return Generation(found.removesuffix(CUT), (), not found.endswith(CUT))


class Scripted(PublishedModel):
    """A teacher.

    Args:
        script: The JSON file.
        log: File of what it was asked; null: beside the script.
        seconds: How long one text takes.
        decoding: How it writes.
    """

    def __init__(
        self,
        script: str,
        *,
        log: str | None = None,
        seconds: float = 0.0,
        decoding: Decoding | None = None,
    ) -> None:
        super().__init__(decoding=decoding)
        self.script = Path(script)
        self.log = Path(log or self.script.with_suffix(".log"))
        self.seconds = seconds

    def build(self) -> Any:
        with self.log.open("a") as file:
            file.write(json.dumps(["load", "", [], {}]) + "\n")
        return ScriptedEngine(json.loads(self.script.read_text()), self.log, self.seconds)

    def stored(self, store: PerceptionStore | None) -> StoredEngine:
        return StoredEngine(self.build(), fingerprint="scripted", store=store)


class Blind(Scripted):
    """A teacher that sees no images."""

    sees_images = False
