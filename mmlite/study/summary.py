"""What a study leaves for its report: study.json, gallery.json, and the report itself."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from mmlite.analysis import log_report, make_report
from mmlite.models import count_non_embedding, count_parameters
from mmlite.records import Example
from mmlite.runs import load_run
from mmlite.study.gallery import gallery
from mmlite.study.jobs import Job, seconds_of
from mmlite.study.marks import read_json, write_json
from mmlite.study.names import run_of
from mmlite.study.official import write_official_files
from mmlite.study.spec import StudySpec
from mmlite.study.work import asked
from mmlite.tasks import best_constant_guess

LIBRARIES = ("torch", "lightning", "transformers", "timm", "jsonargparse")


def summarise(
    study: StudySpec, out: Path, jobs: Sequence[Job], *, command: str, seconds: float
) -> Path:
    """Write study.json and gallery.json, then tables, plots and the report.

    Args:
        study: What was run.
        out: The study's folder.
        jobs: All its jobs, done.
        command: As typed.
        seconds: Wall-clock time of this call.

    Returns:
        The report.
    """
    examples = {seed: asked(study, seed) for seed in study.seeds}
    record = {
        "name": study.name,
        "title": study.title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mmlite_version": version("mmlite"),
        "versions": {name: version(name) for name in LIBRARIES},
        "seeds": study.seeds,
        "sizes": _sizes(study, out, jobs),
        "models": [{"name": name, **model} for name, model in study.evaluation.models.items()],
        "groups": _groups(next(iter(examples.values()))),
        "runs": [_run(job, out, study) for job in jobs if job.action == "train"],
        "evaluations": [
            {"name": job.name, "seconds": seconds_of(job, out)}
            for job in jobs
            if job.action != "train"
        ],
        "total_seconds": _wall_clock(out, seconds),
        "chance": best_constant_guess(chain.from_iterable(examples.values())),
        "command": command,
        "notes": [
            f"Questions are of the {study.evaluation.split} split.",
            f"{study.workers} single-threaded processes on {os.cpu_count()} cores.",
        ],
        "limits": study.limits,
    }
    write_json(out / "study.json", record, indent=1)
    write_json(out / "gallery.json", gallery(study, out, examples[study.seeds[0]]), indent=1)
    write_official_files(out)
    report = make_report(out)
    log_report(out, out / "logs")
    return report


def _sizes(study: StudySpec, out: Path, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Describe the language models of each size."""
    runs = {job.size: job for job in jobs if job.action == "train" and job.size}
    sizes = []
    for name in study.sizes:
        if name not in runs:
            continue
        language = load_run(out / runs[name].name).parts["language"]
        sizes.append(
            {
                "name": name,
                "parameters": count_parameters(language),
                "non_embedding_parameters": count_non_embedding(language),  # type: ignore[arg-type]
            }
        )
    return sizes


def _groups(examples: Sequence[Example]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for example in examples:
        kinds = groups.setdefault(example.group, [])
        if example.category not in kinds:
            kinds.append(example.category)
    return groups


def _run(job: Job, out: Path, study: StudySpec) -> dict[str, Any]:
    folder = out / job.name
    throughput = read_json(folder / "throughput.json")
    curve = read_json(folder / "curve.json")
    points = curve.get("points", [])
    stage = run_of(job.name.rpartition("/")[2], job.size)
    return {
        "name": job.name,
        "stage": stage,
        "roles": [role for role, run in study.evaluation.runs.items() if run == stage],
        "size": job.size,
        "seed": job.seed,
        "seconds": seconds_of(job, out),
        **{
            key: throughput.get(key)
            for key in ("steps", "images", "supervised_tokens", "all_tokens")
        },
        "final_loss": points[-1][1] if points else None,
        "curve": points,
        "flattened": curve.get("flattened"),
    }


def _wall_clock(out: Path, seconds: float) -> float:
    """Add this call's time to that of the calls before it; one that was killed left none."""
    path = out / "wall_clock.json"
    before = float(read_json(path).get("seconds", 0.0))
    total = before + seconds
    write_json(path, {"seconds": round(total, 1)})
    return round(total, 1)
