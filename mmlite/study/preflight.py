"""What is checked before any training: whatever the study will read or build by name."""

from collections.abc import Collection, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from mmlite.config.problem import ArgumentProblem
from mmlite.study import workers
from mmlite.study.jobs import Job
from mmlite.study.pool import Pool
from mmlite.study.spec import StudySpec


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
    for check in checks:
        try:
            check.result()
        except BrokenProcessPool as error:
            raise ValueError(
                f"study {study.name}: a process ended before its first job (out of memory, or "
                "killed); start it again, with fewer --workers if memory is short"
            ) from error


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
    return job.name.rpartition("/")[2].removesuffix(f"-{job.size}")


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
        load_prompts(study.evaluation.prompts)
    except ValueError as error:
        raise ArgumentProblem(f"study {study.path}: {error}") from error


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


def check_runs(study: StudySpec, jobs: Sequence[Job], out: Path) -> None:
    """Read the files of runs.

    Raises:
        ArgumentProblem: If a key or a value is wrong; the message names the run.
    """
    if not jobs:
        return
    from mmlite.study.work import run_arguments
    from mmlite.training.parsers import check_arguments, training_parsers

    fit = training_parsers()["fit"]
    for job in jobs:
        try:
            check_arguments(fit, run_arguments(job, out)[1:])
        except ArgumentProblem as error:
            name = job.name.partition("/")[2]
            raise ArgumentProblem(f"study {study.path.name}: {name}: {error}") from error
