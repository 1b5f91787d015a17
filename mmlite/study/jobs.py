"""Jobs: what a study has to do, in which order, and how it is known that one is done.

A job's key hashes everything its result depends on: its own inputs, the files it reads, the keys
of the jobs before it, and the program itself (`mmlite.study.keys`). A done mark holds the key and
the size of what was made; a changed input makes another key, and the job runs again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmlite.config.files import referenced_files
from mmlite.prompts import PROMPT_SET_NAMES
from mmlite.records import content_key
from mmlite.study.keys import code_of, model_key, program_key
from mmlite.study.marks import read_json, write_json
from mmlite.study.names import (
    MODEL_PERCEIVERS,
    MODEL_REASONERS,
    end_to_end_job,
    perceive_job,
    reasoner_job,
    run_job,
)
from mmlite.study.spec import StudySpec, SystemSpec

DONE_FILE = "done.json"
"""Name of the mark a finished job leaves in its folder."""

REPORTED_FILE = "reported.json"
"""Name of the mark a finished report leaves."""

PREDICTIONS = "predictions"
"""Folder that predictions are in."""

SET_ASIDE = "predictions_set_aside"
"""Folder of files of predictions that a study of fewer sizes or seeds must not mix in."""

SHARED_ROWS = "shared_rows"
"""Folder of encoded training rows that workers leave for each other while a study runs."""

WEIGHTS = "weights.safetensors"
"""What a finished run leaves; the name of `mmlite.stages.weights`, which needs PyTorch."""


@dataclass(frozen=True)
class Pair:
    """One two-stage system: who sees and who answers, each with a size or an empty one."""

    perceiver: str
    perceiver_size: str
    reasoner: str
    reasoner_size: str


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        name: Unique in the study, such as `seed-0/extraction-d`.
        action: `train` a run, let a model `perceive`, or `answer` with systems.
        seed: Of the study's repetition.
        size: Of the language model; empty if none is involved.
        after: Names of the jobs that come first.
        arguments: For the worker; JSON-serialisable.
        key: Hash of everything the result depends on.
    """

    name: str
    action: Literal["train", "perceive", "answer"]
    seed: int
    size: str
    after: tuple[str, ...]
    arguments: dict[str, Any] = field(hash=False)
    key: str


def plan(study: StudySpec, out: Path) -> list[Job]:
    """Return every job of a study; a job stands after those it needs."""
    jobs: list[Job] = []
    for seed in study.seeds:
        planner = _Planner(study, out, seed)
        for name, run in study.runs.items():
            for size in study.sizes if run.each else [""]:
                planner.train(name, size)
        planner.evaluate()
        jobs += planner.jobs.values()
    return jobs


def predictions_file(job: Job, out: Path) -> Path:
    """Return where a job that answers writes its predictions."""
    seed, _, name = job.name.partition("/")
    return out / PREDICTIONS / f"{seed}-{name.removeprefix('answer-')}.jsonl"


def is_done(job: Job, out: Path) -> bool:
    """Whether a job was finished with the same inputs, and what it made is there as it was."""
    mark, made = read_json(out / job.name / DONE_FILE), _bytes_made(job, out)
    return made is not None and (mark.get("key"), mark.get("bytes")) == (job.key, made)


def mark_done(job: Job, out: Path, seconds: float) -> None:
    """Leave the mark that a job is finished, with the size of what it made."""
    mark = {"key": job.key, "seconds": round(seconds, 2), "bytes": _bytes_made(job, out)}
    write_json(out / job.name / DONE_FILE, mark)


def _bytes_made(job: Job, out: Path) -> int | None:
    """Return the size of what a job makes, by which a file that was cut is told.

    It is 0 for a job that makes no file of its own, and None where the file is not there.
    """
    made = {"train": out / job.name / WEIGHTS, "answer": predictions_file(job, out)}
    if job.action not in made:
        return 0
    if not made[job.action].is_file():
        return None
    adapters = sorted((out / job.name).glob("adapters/*/*")) if job.action == "train" else []
    return sum(file.stat().st_size for file in (made[job.action], *adapters))


def is_reported(study: StudySpec, jobs: Sequence[Job], out: Path) -> bool:
    """Whether the report is there and was made of these jobs by this program."""
    made = all((out / name).is_file() for name in ("report.html", "results.json", "study.json"))
    return made and read_json(out / REPORTED_FILE).get("key") == _report_key(study, jobs)


def mark_reported(study: StudySpec, jobs: Sequence[Job], out: Path) -> None:
    """Leave the mark that the report is made."""
    write_json(out / REPORTED_FILE, {"key": _report_key(study, jobs)})


def _report_key(study: StudySpec, jobs: Sequence[Job]) -> str:
    told = [study.name, study.title, study.limits, study.evaluation.examples_per_kind]
    return content_key(told, [job.key for job in jobs], program_key(reporting=True))


def seconds_of(job: Job, out: Path) -> float:
    """Return how long a finished job took."""
    return float(read_json(out / job.name / DONE_FILE)["seconds"])


class _Planner:
    """Collects the jobs of one seed."""

    def __init__(self, study: StudySpec, out: Path, seed: int) -> None:
        self.study = study
        self.out = out
        self.seed = seed
        self.jobs: dict[str, Job] = {}

    def train(self, run: str, size: str) -> None:
        """Add a training run."""
        spec = self.study.runs[run]
        files = [
            (self.study.path.parent / file.replace("{size}", size)).resolve()
            for file in spec.config
        ]
        first = {part: self._run_job(other, size) for part, other in spec.init_from.items()}
        flags = {**self.study.set, **spec.set}
        texts = [inner.read_bytes() for file in files for inner in referenced_files(file)]
        texts += code_of(*texts, json.dumps(flags).encode())
        arguments = {
            "config": [str(file) for file in files],
            "init_from": {part: str(self.out / job.name) for part, job in first.items()},
            "set": flags,
        }
        inputs = [run, flags, self.seed, {part: job.key for part, job in first.items()}]
        self._add("train", run_job(run, size), size, list(first.values()), arguments, inputs, texts)

    def evaluate(self) -> None:
        """Add what perceives and what answers; a published model has no run to wait for."""
        pairs, ends = _expand(self.study)
        writers = [*self.study.sizes, *self.study.evaluation.models]
        for perceiver in MODEL_PERCEIVERS:
            for size in writers:
                if any(p.perceiver == perceiver and p.perceiver_size == size for p in pairs):
                    runs = self._roles(perceiver, size)
                    arguments = {"perceiver": perceiver, "run": runs[0].name if runs else None}
                    self._add("perceive", perceive_job(perceiver, size), size, runs, arguments)
        for size in writers:
            if kinds := [kind for kind, s in ends if s == size]:
                runs = self._roles("end_to_end", size)
                arguments = {"end_to_end": kinds, "run": runs[0].name if runs else None}
                self._add("answer", end_to_end_job(size), size, runs, arguments)
        for size in ["", *writers]:
            mine = [pair for pair in pairs if pair.reasoner_size == size]
            if mine:
                self._reason(size, mine)

    def _reason(self, size: str, pairs: Sequence[Pair]) -> None:
        before = self._roles("reasoner", size) if size else []
        models = sorted({(p.perceiver, p.perceiver_size) for p in pairs if p.perceiver_size})
        perceives = [
            self.jobs[self._path(perceive_job(perceiver, psize))] for perceiver, psize in models
        ]
        arguments = {
            "pairs": [[p.perceiver, p.perceiver_size, p.reasoner, p.reasoner_size] for p in pairs],
            "run": before[0].name if before else None,
            "perceiver_runs": {
                f"{perceiver} {psize}": run.name
                for perceiver, psize in models
                for run in self._roles(perceiver, psize)
            },
        }
        self._add("answer", reasoner_job(size), size, [*before, *perceives], arguments)

    def _add(
        self,
        action: Literal["train", "perceive", "answer"],
        name: str,
        size: str,
        after: Sequence[Job],
        arguments: dict[str, Any],
        inputs: Sequence[Any] = (),
        texts: Sequence[bytes] = (),
    ) -> None:
        if action != "train":
            evaluation = self.study.evaluation
            is_named = evaluation.prompts in PROMPT_SET_NAMES  # else a file, by what it holds
            texts = [] if is_named else [Path(evaluation.prompts).read_bytes()]
            asked = [evaluation.source, evaluation.split, evaluation.prompts if is_named else None]
            writers = (size, evaluation.info or "")
            models = [evaluation.models.get(writer) for writer in writers]
            named_classes = [evaluation.source, *models]
            texts += code_of(json.dumps(named_classes).encode())
            inputs = [asked, evaluation.max_new_tokens, self.seed, _without_folders(arguments)]
            known = [evaluation.models[writer] for writer in writers if writer in evaluation.models]
            inputs += [model_key(model) for model in known]
        key = content_key(action, list(inputs), [job.key for job in after], program_key(), *texts)
        path = self._path(name)
        names = tuple(job.name for job in after)
        self.jobs[path] = Job(path, action, self.seed, size, names, arguments, key)

    def _path(self, name: str) -> str:
        return f"seed-{self.seed}/{name}"

    def _run_job(self, run: str, size: str) -> Job:
        return self.jobs[self._path(run_job(run, size if self.study.runs[run].each else ""))]

    def _roles(self, role: str, size: str) -> list[Job]:
        """Return the run that plays a role at a size; none if a published model does."""
        if size in self.study.evaluation.models:
            return []
        return [self._run_job(self.study.evaluation.runs[role], size)]


def _without_folders(arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if "run" not in key}


def _expand(study: StudySpec) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Return every two-stage pair, and every (kind, size) of end-to-end systems."""
    pairs: list[Pair] = []
    ends: list[tuple[str, str]] = []
    for system in study.evaluation.systems:
        if system.end_to_end:
            kind = "end_to_end" if system.end_to_end is True else "end_to_end_blind"
            found = [(kind, size) for size in _writers(system.model, study.sizes)]
            ends += [end for end in found if end not in ends]
        else:
            pairs += [pair for pair in _pairs(system, study.sizes) if pair not in pairs]
    return pairs, ends


def _pairs(system: SystemSpec, sizes: Sequence[str]) -> list[Pair]:
    perceiver, reasoner = str(system.perceiver), str(system.reasoner)
    seen_by = _writers(system.perceiver_model, sizes)
    answered_by = _writers(system.reasoner_model, sizes)
    seeing = seen_by if perceiver in MODEL_PERCEIVERS else [""]
    answering = answered_by if reasoner in MODEL_REASONERS else [""]
    every = system.pairs == "grid" or system.perceiver_model or system.reasoner_model
    return [
        Pair(perceiver, one, reasoner, other)
        for one in seeing
        for other in answering
        if every or not one or not other or one == other
    ]


def _writers(model: str | None, sizes: Sequence[str]) -> Sequence[str]:
    """Return who plays a role: a published model if one is named, else a run of each size."""
    return [model] if model else sizes
