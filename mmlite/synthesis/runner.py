"""Running a synthesis: teachers are asked step by step, and everything is written at the end."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mmlite import __version__
from mmlite.config.named import build_named
from mmlite.errors import RowError
from mmlite.files import only_one
from mmlite.generation import Request
from mmlite.records import content_key
from mmlite.synthesis.rows import NO_IMAGE, NO_QUESTION, Rejected, SourceRow, read_row
from mmlite.synthesis.spec import SynthesisSpec
from mmlite.synthesis.steps import Step, steps_of
from mmlite.synthesis.teachers import Teachers
from mmlite.synthesis.writing import (
    LEFT_OUT_FILE,
    SUMMARY_FILE,
    Made,
    is_made,
    write_all,
    write_left_out,
)
from mmlite.systems import Written

_log = logging.getLogger(__name__)

CHUNK_ROWS = 256
"""Rows that are read, and shown to a teacher, at a time."""

EXPECTED = (NO_IMAGE, NO_QUESTION)
"""Kinds of rows that nothing is wrong with, and that do not count against the cap."""

STORE = "store"
"""Folder of all that the teachers have written."""

Told = Callable[[str, int, int], None]
"""Told the step, how many rows are done, and how many there are."""


class Synthesis:
    """A synthesis that is ready to run: source, prompts and teachers are there.

    Args:
        spec: What to make.
        out: Where everything is written.

    Raises:
        ValueError: If something the file names is not there, or wrong.
    """

    def __init__(self, spec: SynthesisSpec, out: Path) -> None:
        self.spec = spec
        self.out = out
        self.prompts = spec.prompt_set()
        self.source = _build_source(spec)
        self.teachers = Teachers(spec, out / STORE)
        self.rows: Sequence[Any] = self.source.rows(spec.split)
        size = len(self.rows)
        self.size = size if spec.limit is None else min(size, spec.limit)
        self.left_out: dict[int, Rejected] = {}

    @property
    def key(self) -> str:
        """Hash of what decides the outcome; data files are known by what their source tells."""
        describe = getattr(self.source, "describe", None)
        return content_key(
            self.spec.to_json(),
            dict(self.prompts.templates),
            [self.teachers.key(role) for role in self.teachers.order],
            [len(self.rows), dict(describe(self.spec.split)) if describe else {}],
            __version__,
        )

    def run(self, told: Told) -> bool:
        """Make the data, or what is left of it.

        Args:
            told: Told of progress.

        Returns:
            Whether anything was to be done.

        Raises:
            ValueError: If more rows are bad than may be left out, or another process writes to
                the folder.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with only_one(self.out, "synthesize"):
            if is_made(self.out, self.key):
                return False
            self.teachers.locate()
            steps = steps_of(self.prompts, self.spec.checks, self.spec.image_px)
            for number, role in enumerate(self.teachers.order, start=1):
                started = time.monotonic()
                self._do(steps[role], told)
                seconds = time.monotonic() - started
                given = (number, len(steps), role, len(steps[role].texts), seconds)
                _log.info("[%d/%d] %s: %d rows  %.0f s", *given)
            made = Made(
                spec=self.spec,
                key=self.key,
                prompts=self.prompts,
                source=self.source,
                teachers=self.teachers,
                size=self.size,
                texts={role: step.texts for role, step in steps.items()},
                left_out=self._listed(),
            )
            write_all(self.out, made, self._usable)
            if len(self.left_out) == self.size:
                _log.warning("No row is left; %s says why", self.out / LEFT_OUT_FILE)
            return True

    def summary(self) -> dict[str, Any]:
        """Return what `synthesis.json` says, once the data is made."""
        return json.loads((self.out / SUMMARY_FILE).read_text(encoding="utf-8"))

    def _do(self, step: Step, told: Told) -> None:
        """Ask for one thing about every row that is left."""
        before = Counter(self._kinds())
        waiting = [number for number in range(self.size) if number not in self.left_out]
        told(step.role, 0, len(waiting))
        for start in range(0, len(waiting), CHUNK_ROWS):
            chunk = waiting[start : start + CHUNK_ROWS]

            def within(done: int, new: int, start: int = start, size: int = len(chunk)) -> None:
                told(step.role, start + size * done // new, len(waiting))

            self._do_chunk(step, chunk, within)
            told(step.role, start + len(chunk), len(waiting))
            self._check_share(Counter(self._kinds()) - before, start + len(chunk))
        # Of all steps together; before the first has ended, nobody knows how many rows there are.
        self._check_share(Counter(self._kinds()), self.size)

    def _do_chunk(
        self, step: Step, numbers: Sequence[int], within: Callable[[int, int], None]
    ) -> None:
        rows: list[SourceRow] = []
        asked: list[list[Request]] = []
        for number in numbers:
            row = read_row(self.rows, number)
            if isinstance(row, SourceRow):
                try:
                    requests = step.requests(row)
                except RowError as error:
                    row = _unasked(row, error)
                else:
                    rows.append(row)
                    asked.append(requests)
            if isinstance(row, Rejected):
                self.left_out[number] = row
        answers = iter(self.teachers.ask(step.role, list(chain(*asked)), within))
        for row, requests in zip(rows, asked, strict=True):
            written = [next(answers) for _ in requests]
            errors = [answer for answer in written if isinstance(answer, RowError)]
            texts = [answer for answer in written if isinstance(answer, Written)]
            rejected = _unasked(row, errors[0]) if errors else step.take(row, texts)
            if rejected is not None:
                self.left_out[row.number] = rejected

    def _kinds(self) -> Iterator[str]:
        return (rejected.kind for rejected in self.left_out.values())

    def _check_share(self, kinds: Counter[str], looked_at: int) -> None:
        """Stop where too many rows are bad; what was left out is listed first.

        Raises:
            ValueError: With how many of which kind.
        """
        bad = {kind: number for kind, number in kinds.items() if kind not in EXPECTED}
        usable = looked_at - sum(kinds[kind] for kind in EXPECTED)
        allowed = self.spec.checks.max_left_out_fraction
        if sum(bad.values()) <= allowed * usable:
            return
        (self.out / SUMMARY_FILE).unlink(missing_ok=True)  # of other rows, if it is there
        path = write_left_out(self.out, self._listed())
        told = ", ".join(f"{kind} {number}" for kind, number in sorted(bad.items()))
        raise ValueError(
            f"synthesize {self.spec.path}: {sum(bad.values())} of {usable} rows are bad ({told}), "
            f"allowed: a share of {allowed:g}; read {path}, then change teachers or prompts, or "
            "allow more (checks.max_left_out_fraction); what was written is kept"
        )

    def _listed(self) -> list[Rejected]:
        return [self.left_out[number] for number in sorted(self.left_out)]

    def _usable(self) -> Iterator[SourceRow]:
        for number in range(self.size):
            if number not in self.left_out:
                row = read_row(self.rows, number)
                assert isinstance(row, SourceRow), "a row is the same whenever it is read"
                yield row


def _unasked(row: SourceRow, error: RowError) -> Rejected:
    return Rejected(row.number, row.example.id, error.problem, str(error))


def _build_source(spec: SynthesisSpec) -> Any:
    example = "data_modules.sources.LLaVA"
    defaults = {"seed": spec.seed}
    where = {"kind": object, "example": example, "files": [spec.path], "defaults": defaults}
    source = build_named(spec.source, "source", **where)
    if not callable(getattr(source, "rows", None)):
        raise ValueError(
            f"source.class_path: got {spec.source['class_path']!r}, which has no rows, allowed: a "
            f"source such as {example}"
        )
    return source
