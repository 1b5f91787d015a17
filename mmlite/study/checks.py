"""What is wrong with a study, as far as its file tells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlite.prompts import PROMPT_SET_NAMES
from mmlite.study.names import (
    MAX_SEED,
    MODEL_PERCEIVERS,
    MODEL_REASONERS,
    PAIRS,
    PERCEIVERS,
    REASONERS,
    ROLES,
    end_to_end_job,
    is_plain,
    perceive_job,
    reasoner_job,
    run_job,
)

if TYPE_CHECKING:  # which asks this module
    from mmlite.study.spec import EvaluationSpec, RunSpec, StudySpec, SystemSpec

SOURCE = "{class_path: data_modules.sources.MicroWorld, init_args: {held_out_per_kind: 100}}"
MODEL = "{class_path: mmlite.interop.ImageTextModel, init_args: {name: FOLDER}}"


def problems_of(study: "StudySpec") -> list[str]:
    """Return all that is wrong, a sentence each."""
    problems = _name_problems(study) + _job_problems(study)
    for name, run in study.runs.items():
        problems += _run_problems(study, name, run)
    roles = study.evaluation.runs
    problems += _class_problems("evaluation.source", study.evaluation.source, SOURCE)
    problems += _model_problems(study)
    problems += [
        f"evaluation.runs: got {role!r}, allowed: {', '.join(ROLES)}"
        for role in roles
        if role not in ROLES
    ]
    problems += [
        f"evaluation.runs.{role}: got run {name!r}, allowed: {', '.join(study.runs)}"
        for role, name in roles.items()
        if name not in study.runs
    ]
    for number, system in enumerate(study.evaluation.systems):
        problems += [
            f"evaluation.systems[{number}].{problem}"
            for problem in _system_problems(system, study.evaluation)
        ]
    problems += _asking_problems(study)
    if wrong := seed_problem(study.seeds):
        problems.append(f"seeds: {wrong}")
    if not study.seeds or not (study.sizes or study.evaluation.models):
        problems.append("seeds, sizes: got an empty list, allowed: one or more")
    if study.workers < 1:
        problems.append(f"workers: got {study.workers}, allowed: 1 or more")
    return problems


def _name_problems(study: "StudySpec") -> list[str]:
    """Check what becomes the names of folders and files."""
    problems = []
    if not study.name or study.name in (".", "..") or set(study.name) & set("/\\\0"):
        problems.append(f"name: got {study.name!r}, allowed: the name of a folder, without slashes")
    problems += [
        f"{key}: got the name {name!r}, allowed: letters, digits, and . _ + -"
        for key, names in (("sizes", study.sizes), ("runs", study.runs))
        for name in names
        if not is_plain(name)
    ]
    if len(set(study.sizes)) < len(study.sizes):
        problems.append(f"sizes: got {study.sizes}, allowed: different names")
    return problems


def _job_problems(study: "StudySpec") -> list[str]:
    """Refuse runs whose jobs have the name of another job, which they would replace."""
    known = {reasoner_job(""): "what the evaluation does"}
    for size in (*study.sizes, *study.evaluation.models):
        asked = [perceive_job(perceiver, size) for perceiver in MODEL_PERCEIVERS]
        names = [*asked, end_to_end_job(size), reasoner_job(size)]
        known |= dict.fromkeys(names, "what the evaluation does")
    problems = []
    for run, spec in study.runs.items():
        for size in dict.fromkeys(study.sizes) if spec.each else [""]:
            name, told = run_job(run, size), f"run {run!r}" + (f" of size {size!r}" if size else "")
            if name in known:
                problems.append(
                    f"runs: got {told} and {known[name]}, which are both named {name!r}, allowed: "
                    f"a name of its own for each job; rename the run"
                )
            known[name] = told
    return problems


def _asking_problems(study: "StudySpec") -> list[str]:
    """Check how the evaluation asks."""
    evaluation = study.evaluation
    problems = []
    if evaluation.split not in ("validation", "test"):
        problems.append(f"evaluation.split: got {evaluation.split!r}, allowed: validation, test")
    if evaluation.prompts not in PROMPT_SET_NAMES and not Path(evaluation.prompts).is_file():
        problems.append(
            f"evaluation.prompts: got {evaluation.prompts!r}, allowed: "
            f"{', '.join(PROMPT_SET_NAMES)}, or a YAML file in {study.path.parent} or in the "
            "current folder; check the name, or that the file is there"
        )
    if evaluation.info is not None and evaluation.info not in evaluation.models:
        known = ", ".join(evaluation.models) or "none, for evaluation.models is empty"
        problems.append(f"evaluation.info: got {evaluation.info!r}, allowed: {known}")
    for key, least in (("max_new_tokens", 1), ("examples_per_kind", 0)):
        if (given := getattr(evaluation, key)) < least:
            problems.append(f"evaluation.{key}: got {given}, allowed: {least} or more")
    return problems


def seed_problem(seeds: Sequence[Any]) -> str:
    """Return what is wrong with a study's seeds, or nothing."""
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    if whole and len(set(seeds)) == len(seeds) and all(0 <= seed <= MAX_SEED for seed in seeds):
        return ""
    return f"got {list(seeds)}, allowed: different whole numbers from 0 to {MAX_SEED}"


def _run_problems(study: "StudySpec", name: str, run: "RunSpec") -> list[str]:
    problems = []
    if run.each not in (None, "size"):
        problems.append(f"runs.{name}.each: got {run.each!r}, allowed: size, or leave it out")
    known = list(study.runs)
    for part, other in run.init_from.items():
        if other not in known[: known.index(name)]:
            problems.append(
                f"runs.{name}.init_from.{part}: got {other!r}, allowed: a run above it "
                f"({', '.join(known[: known.index(name)]) or 'none'})"
            )
        elif study.runs[other].each and not run.each:
            problems.append(
                f"runs.{name}.init_from.{part}: got {other!r}, of which there is one for each "
                f"size, allowed: that for a run with each: size, or a run that sizes share"
            )
    for size in study.sizes if run.each else [""]:
        for file in run.config:
            found = study.path.parent / file.replace("{size}", size)
            if not found.is_file():
                problems.append(f"runs.{name}.config: got {file!r}, but there is no file {found}")
    return problems


def _model_problems(study: "StudySpec") -> list[str]:
    problems = []
    for name, model in study.evaluation.models.items():
        if name in study.sizes or not is_plain(name):
            problems.append(
                f"evaluation.models: got the name {name!r}, allowed: letters, digits, and . _ + -, "
                "and no name of a size"
            )
        problems += _class_problems(f"evaluation.models.{name}", model, MODEL)
    return problems


def _class_problems(where: str, value: Any, example: str) -> list[str]:
    """Check that a value names a class and maps its arguments."""
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        unknown = set(value) - {"class_path", "init_args"}
        if not unknown and isinstance(value.get("init_args", {}), Mapping):
            return []
    return [f"{where}: got {value!r}, allowed: class_path and init_args, such as {example}"]


def _system_problems(system: "SystemSpec", evaluation: "EvaluationSpec") -> list[str]:
    problems = []
    needed = []
    if system.end_to_end:
        needed += [] if system.model else ["end_to_end"]
        if system.end_to_end not in (True, "blind"):
            problems.append(f"end_to_end: got {system.end_to_end!r}, allowed: true, blind")
    else:
        if system.perceiver not in PERCEIVERS:
            problems.append(
                f"perceiver: got {system.perceiver!r}, allowed: {', '.join(PERCEIVERS)}"
            )
        if system.reasoner not in REASONERS:
            problems.append(f"reasoner: got {system.reasoner!r}, allowed: {', '.join(REASONERS)}")
        if system.perceiver in MODEL_PERCEIVERS and not system.perceiver_model:
            needed.append(str(system.perceiver))
        if system.reasoner in MODEL_REASONERS and not system.reasoner_model:
            needed.append("reasoner")
    if system.pairs not in PAIRS:
        problems.append(f"pairs: got {system.pairs!r}, allowed: {', '.join(PAIRS)}")
    problems += _published_problems(system, evaluation.models)
    problems += [
        f"needs evaluation.runs.{role}, which is not given"
        for role in needed
        if role not in evaluation.runs
    ]
    return problems


def _published_problems(system: "SystemSpec", models: Mapping[str, Any]) -> list[str]:
    """Check the models of a system: they are there, and there is something for them to do."""
    two_stage = not system.end_to_end
    uses = {
        "model": (bool(system.end_to_end), "end_to_end"),
        "perceiver_model": (
            two_stage and system.perceiver in MODEL_PERCEIVERS,
            f"perceiver {' or '.join(MODEL_PERCEIVERS)}",
        ),
        "reasoner_model": (
            two_stage and system.reasoner in MODEL_REASONERS,
            f"reasoner {' or '.join(MODEL_REASONERS)}",
        ),
    }
    problems = []
    for key, (is_used, partner) in uses.items():
        name = getattr(system, key)
        if name is not None and name not in models:
            known = ", ".join(models) or "none, for evaluation.models is empty"
            problems.append(f"{key}: got {name!r}, allowed: {known}")
        if name is not None and not is_used:
            problems.append(f"{key}: got {name!r}, allowed only with {partner}; leave it out")
    return problems
