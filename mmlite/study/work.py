"""What a worker process does: train a run, let a model perceive, answer with systems."""

import json
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from mmlite.generation import Decoding, Engine
from mmlite.microworld import Knowledge, Questions
from mmlite.models import VisionLanguageModel
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.predictions import write_predictions
from mmlite.prompts import PromptSet, load_prompts
from mmlite.records import Example, Prediction, content_key
from mmlite.runs import load_run
from mmlite.stages.weights import WEIGHTS_FILE
from mmlite.study.jobs import DONE_FILE, SHARED_ROWS, Job, mark_done, predictions_file
from mmlite.study.marks import read_json, write_json
from mmlite.study.observers import Report, SharedData, StepReport, report_part
from mmlite.study.sources import build_model, build_source
from mmlite.study.spec import StudySpec
from mmlite.systems import (
    BlindPerceiver,
    EndToEnd,
    MajorityReasoner,
    ModelPerceiver,
    ModelReasoner,
    OraclePerceiver,
    Perceiver,
    PerceptionStore,
    QuestionInfo,
    Reasoner,
    StoredEngine,
    SymbolicReasoner,
    TwoStage,
)
from mmlite.training import command
from mmlite.training.checkpoint import CHECKPOINTS

STARTED_FILE = "started.json"
"""Name of the mark of the inputs that a run's checkpoints belong to."""


def do(job: Job, study: StudySpec, out: Path, report: Report) -> None:
    """Do one job and mark it done.

    Args:
        job: What to do; the jobs before it are done.
        study: The study it belongs to.
        out: The study's folder.
        report: Told of progress.
    """
    torch.set_num_threads(1)
    started = time.perf_counter()
    {"train": _train, "perceive": _perceive, "answer": _answer}[job.action](job, study, out, report)
    mark_done(job, out, time.perf_counter() - started)


def _train(job: Job, study: StudySpec, out: Path, report: Report) -> None:
    folder = out / job.name
    resume = resume_point(folder, job)
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)  # logs and weights of other inputs
        folder.mkdir(parents=True)
        write_json(folder / STARTED_FILE, {"key": job.key})
    arguments = run_arguments(job, out, resume=resume)
    command.run(arguments, callbacks=[SharedData(out / SHARED_ROWS), StepReport(job.name, report)])


def run_arguments(job: Job, out: Path, *, resume: Path | None = None) -> list[str]:
    """Return the command line, after `mmlite`, of a training job.

    Args:
        job: What to train.
        out: The study's folder.
        resume: Checkpoint to go on from.
    """
    flags = {
        "run": str(out / job.name),
        "overwrite": True,
        "seed_everything": job.seed,
        "processor.init_args.features.init_args.folder": str(out / "features"),
        "data.init_args.seed": job.seed,
        "trainer.enable_progress_bar": False,
        **job.arguments["set"],
    }
    if job.arguments["init_from"]:
        flags["model.init_args.init_from"] = job.arguments["init_from"]
    if resume:
        flags["ckpt_path"] = str(resume)
    files = [part for file in job.arguments["config"] for part in ("-c", file)]
    return ["fit", *files, *[f"--{key}={_flag(value)}" for key, value in flags.items()]]


def resume_point(folder: Path, job: Job) -> Path | None:
    """Return the last whole checkpoint of a run that was killed with the same inputs.

    Args:
        folder: Of the run.
        job: The one that trains it.

    Returns:
        None if there is nothing to go on from, or the run was over.
    """
    same = read_json(folder / STARTED_FILE).get("key") == job.key
    if not same or (folder / WEIGHTS_FILE).exists():
        return None
    kept = folder / CHECKPOINTS
    # A kill can leave a link to nothing, or half of a file, beside a checkpoint that is whole.
    others = sorted(kept.glob("*.ckpt"), key=lambda path: path.lstat().st_mtime_ns, reverse=True)
    return next((path for path in (kept / "last.ckpt", *others) if zipfile.is_zipfile(path)), None)


def _flag(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _perceive(job: Job, study: StudySpec, out: Path, report: Report) -> None:
    run = job.arguments["run"]
    is_extract = job.arguments["perceiver"] == "extract"
    examples = _asked_with_info(study, job.seed, out) if is_extract else asked(study, job.seed)
    perceiver = _perceiver(job.arguments["perceiver"], job.size, run, study, out, job.seed)
    _watch(perceiver, partial(report, job.name))
    perceiver.perceive(examples)


def _answer(job: Job, study: StudySpec, out: Path, report: Report) -> None:
    perceivers = {pair[0] for pair in job.arguments.get("pairs", ())}
    is_extract = "extract" in perceivers
    examples = _asked_with_info(study, job.seed, out) if is_extract else asked(study, job.seed)
    build = _end_to_end if "end_to_end" in job.arguments else _two_stage
    systems = build(job, study, out)
    predictions: list[Prediction] = []
    for number, system in enumerate(systems):
        told = partial(report_part, partial(report, job.name), number, len(systems), len(examples))
        told(0, 1)
        for part in (system, *(vars(system).get(name) for name in ("perceiver", "reasoner"))):
            _watch(part, told)
        predictions += system.answer(examples, seed=job.seed)
    write_predictions(predictions_file(job, out), predictions)


def _watch(writer: object, told: Callable[[int, int], None]) -> None:
    """Let what asks a model for text tell how far it is; what asks none has nothing to tell."""
    if isinstance(engine := getattr(writer, "engine", None), StoredEngine):
        engine.progress = told


def _end_to_end(job: Job, study: StudySpec, out: Path) -> list[EndToEnd]:
    engine, decoding = _writer(job.size, job.arguments["run"], study, out, job.seed)
    return [
        EndToEnd(
            engine,
            _prompts(study),
            size=job.size,
            decoding=decoding,
            images=kind == "end_to_end",
        )
        for kind in job.arguments["end_to_end"]
    ]


def _two_stage(job: Job, study: StudySpec, out: Path) -> list[TwoStage]:
    systems = []
    for perceiver, perceiver_size, reasoner, reasoner_size in job.arguments["pairs"]:
        run = job.arguments["perceiver_runs"].get(f"{perceiver} {perceiver_size}")
        systems.append(
            TwoStage(
                _perceiver(perceiver, perceiver_size, run, study, out, job.seed),
                _reasoner(reasoner, reasoner_size, job.arguments["run"], study, out, job.seed)
                if reasoner_size
                else _rule(reasoner, study, job.seed),
            )
        )
    return systems


def _perceiver(
    name: str, size: str, run: str | None, study: StudySpec, out: Path, seed: int
) -> Perceiver:
    if name == "blind":
        return BlindPerceiver()
    if not size:
        return OraclePerceiver(name.removeprefix("oracle_"))
    engine, decoding = _writer(size, run, study, out, seed)
    return ModelPerceiver(
        engine,
        _prompts(study),
        name="extract" if name == "extract" else "caption",
        size=size,
        decoding=decoding,
    )


def _rule(name: str, study: StudySpec, seed: int) -> Reasoner:
    """Return a reasoner that is no model."""
    if name == "majority":
        rows = build_source(study.evaluation.source, seed).rows("train")
        return MajorityReasoner(example for row in rows for example in row)
    return SymbolicReasoner(Questions(Knowledge()))


def _reasoner(
    name: str, size: str, run: str | None, study: StudySpec, out: Path, seed: int
) -> Reasoner:
    engine, decoding = _writer(size, run, study, out, seed)
    return ModelReasoner(
        engine,
        _prompts(study),
        name="think" if name == "think" else "answer",
        size=size,
        decoding=decoding,
    )


def _writer(
    size: str, run: str | None, study: StudySpec, out: Path, seed: int
) -> tuple[StoredEngine, Decoding]:
    """Return who writes, the model of a run or a published one, and how it does."""
    models = study.evaluation.models
    if size not in models:
        assert run is not None, "what is no published model is a run's"
        return _engine(run, out), _decoding(study)
    engine, decoding = _published(json.dumps(models[size], sort_keys=True), size, out)
    return engine, _of_seed(decoding or _decoding(study), seed)


def _of_seed(decoding: Decoding, seed: int) -> Decoding:
    """Let each seed of a study sample other texts; what is greedy is the same in all of them."""
    if decoding.is_greedy:
        return decoding
    return replace(decoding, seed=int(content_key(decoding.seed, seed)[:8], 16))


def _decoding(study: StudySpec) -> Decoding:
    return Decoding(max_new_tokens=study.evaluation.max_new_tokens)


def _prompts(study: StudySpec) -> PromptSet:
    return load_prompts(study.evaluation.prompts)


@lru_cache(maxsize=2)
def _loaded(folder: Path, out: Path, mark: str) -> StoredEngine:
    stage = load_run(folder)
    model = stage.built
    if not isinstance(model, VisionLanguageModel):  # of a run that was done before it was named
        raise ValueError(
            f"evaluation.runs: got the run in {folder}, of {type(stage).__name__}, whose model "
            "writes no text, allowed: runs whose model does"
        )
    engine = Engine(model, stage.processor)
    return StoredEngine(engine, fingerprint=weights_fingerprint(model), store=_store(out))


def _engine(run: str, out: Path) -> StoredEngine:
    """Load the model of a run; its done mark tells an old one from a new one."""
    folder = out / run
    return _loaded(folder, out, (folder / DONE_FILE).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _published(value: str, name: str, out: Path) -> tuple[StoredEngine, Decoding | None]:
    """Load a published model; only one at a time, for they may be large."""
    model = build_model(json.loads(value), name)
    return model.stored(_store(out)), model.decoding


@lru_cache(maxsize=2)
def _store(out: Path) -> PerceptionStore:
    return PerceptionStore(out / "store")


def asked(study: StudySpec, seed: int) -> list[Example]:
    """Return the questions of a study's evaluation for a seed."""
    source = json.dumps(study.evaluation.source, sort_keys=True)
    return list(_asked(source, study.evaluation.split, seed))


def _asked_with_info(study: StudySpec, seed: int, out: Path) -> list[Example]:
    """Return the questions, with what a model was to write of each before anything is seen."""
    examples, evaluation = asked(study, seed), study.evaluation
    if evaluation.info is None:
        return examples
    value = json.dumps([evaluation.source, evaluation.split, evaluation.prompts, evaluation.info])
    key = content_key(value, json.dumps(evaluation.models[evaluation.info], sort_keys=True))
    if (key, seed, out) not in _WITH_INFO:
        engine, decoding = _writer(evaluation.info, None, study, out, seed)
        _WITH_INFO.clear()
        _WITH_INFO[key, seed, out] = QuestionInfo(engine, _prompts(study), decoding).complete(
            examples
        )
    return _WITH_INFO[key, seed, out]


_WITH_INFO: dict[tuple[str, int, Path], list[Example]] = {}
"""The questions that this worker asked for last: one model after the other is loaded for them."""


@lru_cache(maxsize=4)
def _asked(source: str, split: str, seed: int) -> tuple[Example, ...]:
    built = build_source(json.loads(source), seed)
    return tuple(example for row in built.rows(split) for example in row)
