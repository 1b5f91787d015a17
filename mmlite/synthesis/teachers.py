"""The teachers: published models that play the roles of a synthesis, one in memory at a time."""

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mmlite.config.named import build_named
from mmlite.errors import RowError
from mmlite.generation import Decoding, Request
from mmlite.hub import locate
from mmlite.interop import CausalModel, ImageTextModel, PublishedModel
from mmlite.synthesis.spec import SynthesisSpec
from mmlite.systems import PerceptionStore, StoredEngine, Written

BUDGETS: Mapping[str, int] = {"info": 256, "statements": 1024, "describe": 2048}
"""Longest text by role, in tokens, of teachers that name no decoding. Statements and descriptions:
arXiv:2511.17487, the authors' released pipeline. An info is a few words; the paper says nothing."""

EXAMPLES = {
    "info": "mmlite.interop.CausalModel",
    "statements": "mmlite.interop.CausalModel",
    "describe": "mmlite.interop.ImageTextModel",
}

Progress = Callable[[int, int], None]


class Teachers:
    """The models of a synthesis by their role: `info`, `statements`, `describe`.

    Roles whose YAML differs in nothing but `decoding` are played by one model, which is loaded
    once. A model is loaded when its role is first asked, and dropped when another one is due.

    Args:
        spec: Names them; nothing is loaded yet.
        folder: Of the store of what they have written.

    Raises:
        ValueError: If there is no such class or model, or one that describes sees no images.
    """

    def __init__(self, spec: SynthesisSpec, folder: Path) -> None:
        self.values = {role: getattr(spec, role) for role in BUDGETS}
        self.models = {role: _build(role, value, spec) for role, value in self.values.items()}
        if not self.models["describe"].sees_images:
            raise ValueError(
                f"describe.class_path: got {spec.describe['class_path']!r}, a model that sees no "
                "images, allowed: one that does, such as mmlite.interop.ImageTextModel"
            )
        self.decodings = {role: _decoding(role, model, spec) for role, model in self.models.items()}
        self._folder = folder
        self._store: PerceptionStore | None = None
        self._loaded: tuple[str, StoredEngine] | None = None

    def locate(self) -> None:
        """Look whether all models are there, before the first is asked for hours.

        Raises:
            ValueError: If one is not; the message names the role.
        """
        for role, model in self.models.items():
            if isinstance(model, ImageTextModel | CausalModel):
                locate(model.name, key=f"{role}.init_args.name")

    def identity(self, role: str) -> str:
        """Return what tells the model of a role from others, however it decodes."""
        value = self.values[role]
        arguments = dict(value.get("init_args") or {})
        arguments.pop("decoding", None)
        return json.dumps([value["class_path"], arguments], sort_keys=True)

    @property
    def order(self) -> tuple[str, str, str]:
        """The roles in an order that loads each model once, the costly descriptions last.

        Infos need no statements, so that they come before or after them.
        """
        same = self.identity("info") == self.identity("describe") != self.identity("statements")
        return ("statements", "info", "describe") if same else ("info", "statements", "describe")

    def name(self, role: str) -> str:
        """Return what the model of a role is called."""
        found = getattr(self.models[role], "name", "")
        return str(found or self.values[role]["class_path"])

    def key(self, role: str) -> list[Any]:
        """Return what decides what the model of a role writes, without loading it.

        Files of a local folder are told apart by name, size and time, for weights are large.
        """
        folder = Path(self.name(role)).expanduser()
        files = sorted(folder.rglob("*")) if folder.is_dir() else []
        stats = [(str(f.relative_to(folder)), f.stat()) for f in files if f.is_file()]
        sizes = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
        return [self.identity(role), self.decodings[role].to_json(), sizes]

    def ask(
        self, role: str, requests: Sequence[Request], told: Progress | None = None
    ) -> list[Written | RowError]:
        """Let the model of a role write; what was written before is found.

        Args:
            role: Who is asked.
            requests: What.
            told: Told after each batch how many of how many new texts are written.

        Returns:
            For each request what was written, or why it cannot be asked: an image that cannot be
            read, a prompt that is too long.
        """
        if not requests:
            return []  # and nothing is loaded, where a source knows every info
        engine = self._engine(role)
        engine.progress = told
        try:
            return list(engine.ask(requests, self.decodings[role]))
        except RowError:
            problems = [_problem(engine, request) for request in requests]
            if not any(problems):
                raise  # no request alone is to blame
        good = [request for request, bad in zip(requests, problems, strict=True) if bad is None]
        texts = iter(engine.ask(good, self.decodings[role]))
        return [next(texts) if bad is None else bad for bad in problems]

    def _engine(self, role: str) -> StoredEngine:
        identity = self.identity(role)
        if self._loaded is None or self._loaded[0] != identity:
            self._loaded = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if self._store is None:
                self._store = PerceptionStore(self._folder)
            self._loaded = (identity, self.models[role].stored(self._store))
        return self._loaded[1]


def _problem(engine: StoredEngine, request: Request) -> RowError | None:
    try:
        engine.engine.request_key(request)
    except RowError as error:
        return error
    return None


def _build(role: str, value: Any, spec: SynthesisSpec) -> PublishedModel:
    return build_named(value, role, kind=PublishedModel, example=EXAMPLES[role], files=[spec.path])


def _decoding(role: str, model: PublishedModel, spec: SynthesisSpec) -> Decoding:
    given = (getattr(spec, role).get("init_args") or {}).get("decoding") or {}
    decoding = model.decoding or Decoding(max_new_tokens=BUDGETS[role])
    if model.decoding is not None and "max_new_tokens" not in given:
        decoding = replace(decoding, max_new_tokens=BUDGETS[role])
    return decoding if "seed" in given else replace(decoding, seed=spec.seed)
