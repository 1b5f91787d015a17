"""What is checked before any training: whatever the study will read or build by name."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from mmlite.config.problem import ArgumentProblem
from mmlite.study import workers
from mmlite.study.jobs import Job
from mmlite.study.names import run_of
from mmlite.study.pool import Pool
from mmlite.study.spec import StudySpec

if TYPE_CHECKING:
    from mmlite.prompts import PromptSet
    from mmlite.study.parts import Parts


def check_study(study: StudySpec, jobs: Sequence[Job], out: Path, pool: Pool) -> None:
    """Check a study by its workers, which load what their jobs need anyway.

    Each run is read whole once, and each file of a size once: the same run for another size is not
    read again and again. A key that one run allows a size's file and another does not stops the
    other when its turn comes.

    Args:
        study: The study.
        jobs: What is left to do.
        out: Its folder.
        pool: Of workers, which start with this.

    Raises:
        ArgumentProblem: If a key or a value is wrong; the message names the run.
        ValueError: If a worker ended unasked.
    """
    read = jobs_to_read(jobs)
    shares = [read[number :: pool.size] for number in range(pool.size)]
    checks = [
        pool.submit(workers.check, study, share, out, number == 0)
        for number, share in enumerate(shares)
    ]
    left: dict[str, Collection[str]] = {}
    for check in checks:
        try:
            left |= check.result()
        except BrokenProcessPool as error:
            raise ValueError(
                f"study {study.name}: a process ended before its first job (out of memory, or "
                "killed); start it again, with fewer --workers if memory is short"
            ) from error
    _check_handed_over(study, left)


def jobs_to_read(jobs: Sequence[Job]) -> list[Job]:
    """Return those that train whose files, read whole, are all that jobs are made of.

    That is each run for one size, and more sizes only where they have files not read yet.
    """
    chosen: list[Job] = []
    read: set[str] = set()
    names: set[str] = set()
    for job in jobs:
        if job.action != "train":
            continue
        run, files = _run_of(job), job.arguments["config"]
        if run not in names or not read.issuperset(files):
            chosen.append(job)
        names.add(run)
        read.update(files)
    return chosen


def _run_of(job: Job) -> str:
    return run_of(job.name.rpartition("/")[2], job.size)


def check_evaluation(study: StudySpec) -> None:
    """Build what asks and who is asked.

    Raises:
        ArgumentProblem: If something is wrong.
    """
    from mmlite.prompts import load_prompts
    from mmlite.study.sources import build_model, build_source

    try:
        for seed in study.seeds:
            build_source(study.evaluation.source, seed)
        models = {n: build_model(m, n) for n, m in study.evaluation.models.items()}
        _check_roles(study, {name for name, model in models.items() if not model.sees_images})
        _check_info(study, load_prompts(study.evaluation.prompts))
    except ValueError as error:
        raise ArgumentProblem(f"study {study.path}: {error}") from error


def _check_info(study: StudySpec, prompts: "PromptSet") -> None:
    """Refuse prompts that ask for an info which nobody writes and a question lacks."""
    from mmlite.study.work import asked

    evaluation = study.evaluation
    is_asked = "info" in prompts.fields("extraction") and evaluation.info is None
    if not is_asked or not any(system.perceiver == "extract" for system in evaluation.systems):
        return
    lacking = next((e for e in asked(study, study.seeds[0]) if not e.info), None)
    if lacking is not None:
        raise ValueError(
            f"evaluation.prompts: got {evaluation.prompts}, whose extraction asks for an info that "
            f"{lacking.row_name} does not have, allowed: rows that have one; or name one of "
            "evaluation.models that writes it as evaluation.info; or prompts that ask by the "
            "question"
        )


def _check_roles(study: StudySpec, blind: Collection[str]) -> None:
    """Refuse models that see no images where a system shows them one."""
    for number, system in enumerate(study.evaluation.systems):
        shown = {"perceiver_model": system.perceiver_model}
        if system.end_to_end is True:
            shown["model"] = system.model
        for key, name in shown.items():
            if name in blind:
                raise ValueError(
                    f"evaluation.systems[{number}].{key}: got {name!r}, a model that sees no "
                    "images, allowed: one that does, such as an mmlite.interop.ImageTextModel; "
                    "name it as reasoner_model, or give end_to_end: blind"
                )


def check_runs(study: StudySpec, jobs: Sequence[Job], out: Path) -> dict[str, Collection[str]]:
    """Read the files of runs, and build their models by shapes.

    Returns:
        By run, the parts that it leaves, as far as that can be told.

    Raises:
        ArgumentProblem: If a key or a value is wrong, or a run cannot play its role; the message
            names the run.
    """
    if not jobs:
        return {}
    from mmlite.study.parts import parts_of
    from mmlite.study.work import run_arguments
    from mmlite.training.parsers import check_arguments, training_parsers

    fit = training_parsers()["fit"]
    left: dict[str, Collection[str]] = {}
    for job in jobs:
        try:
            parts = parts_of(fit, check_arguments(fit, run_arguments(job, out)[1:]))
        except ArgumentProblem as error:
            name = job.name.partition("/")[2]
            raise ArgumentProblem(f"study {study.path.name}: {name}: {error}") from error
        if parts is not None:
            left[_run_of(job)] = parts.left
            _check_played(study, _run_of(job), parts)
    return left


def _check_played(study: StudySpec, run: str, parts: "Parts") -> None:
    """Refuse a run in a role that its model cannot play."""
    systems = study.evaluation.systems
    seeing = {"extract", "caption"}
    if any(system.end_to_end is True and not system.model for system in systems):
        seeing.add("end_to_end")
    for role in (role for role, name in study.evaluation.runs.items() if name == run):
        lacks = "writes no text" if not parts.writes else ""
        if not lacks and role in seeing and not parts.sees:
            lacks = "sees no images"
        if lacks:
            needed = "sees images and writes text" if role in seeing else "writes text"
            raise ArgumentProblem(
                f"study {study.path.name}: evaluation.runs.{role}: got {run!r}, a run of "
                f"{parts.stage}, whose model {lacks}, allowed: a run whose model {needed}"
            )


def _check_handed_over(study: StudySpec, left: Mapping[str, Collection[str]]) -> None:
    """Refuse a run that begins with a part which the run before does not leave."""
    for name, run in study.runs.items():
        for part, other in run.init_from.items():
            if part not in left.get(other, (part,)):
                raise ArgumentProblem(
                    f"study {study.path.name}: runs.{name}.init_from.{part}: got {other!r}, which "
                    f"leaves {', '.join(left[other]) or 'nothing'}, allowed: a run that leaves "
                    f"{part}"
                )
