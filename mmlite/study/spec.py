"""The study file: which runs, which sizes and seeds, which systems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mmlite.prompts import PROMPT_SET_NAMES
from mmlite.study.checks import problems_of
from mmlite.study.yaml_file import build, mapping, need, read_yaml


@dataclass(frozen=True)
class RunSpec:
    """One training run of a study, or one per size.

    Attributes:
        config: Files given with `-c`, relative to the study file; `{size}` is replaced.
        each: `size` for one run per size; null for one run that all sizes share.
        init_from: By part, the name of the run that its weights come from.
        set: More keys, as flags: `trainer.max_steps: 100`.
    """

    config: list[str]
    each: str | None = None
    init_from: dict[str, str] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemSpec:
    """One system to evaluate.

    Attributes:
        end_to_end: True for the end-to-end model with its image, `blind` without; else null.
        perceiver: Who sees, for a two-stage system.
        reasoner: Who answers, for a two-stage system.
        model: Of `evaluation.models`, answers end to end instead of a run of each size.
        perceiver_model: Of `evaluation.models`, sees instead of a run of each size.
        reasoner_model: Of `evaluation.models`, answers instead of a run of each size.
        pairs: For a perceiver and a reasoner that both have sizes: `same` size, or the whole grid.
    """

    end_to_end: bool | str | None = None
    perceiver: str | None = None
    reasoner: str | None = None
    model: str | None = None
    perceiver_model: str | None = None
    reasoner_model: str | None = None
    pairs: str = "same"


@dataclass(frozen=True)
class EvaluationSpec:
    """What is asked, and of whom.

    Attributes:
        source: Class path and arguments of the source whose split is asked, or a YAML file of
            them, relative to the study file.
        split: `validation` while a recipe is chosen, `test` for results.
        runs: Run that plays each role: `end_to_end`, `extract`, `caption`, `reasoner`.
        systems: The systems.
        models: Models that somebody published, by the name they have in this study: class path and
            arguments, such as `mmlite.interop.ImageTextModel`.
        prompts: Name of a built-in prompt set, or a YAML file of one, relative to the study file,
            else to the current folder; once read, the whole path of the file.
        info: Which of `models` writes what a question is about, where the prompts' `extraction`
            asks for it (`{info}`) and the source does not know it.
        max_new_tokens: Longest text a model may write, in tokens.
        examples_per_kind: Examples of each category in the report's gallery.
    """

    source: dict[str, Any]
    runs: dict[str, str]
    systems: list[SystemSpec]
    models: dict[str, Any] = field(default_factory=dict)
    split: str = "test"
    prompts: str = "micro"
    info: str | None = None
    max_new_tokens: int = 96
    examples_per_kind: int = 1


@dataclass(frozen=True)
class StudySpec:
    """A study.

    Attributes:
        name: Of its folder.
        title: Of its report.
        sizes: Names of the language-model sizes, small to large.
        runs: By name.
        evaluation: What is asked, and of whom.
        seeds: Each repeats everything, from the world's pictures to the weights.
        workers: Single-threaded processes that share the cores.
        set: Keys for every run, as flags.
        limits: Sentences for the report on what the numbers do not say.
        path: The file it was read from.
    """

    name: str
    title: str
    sizes: list[str]
    runs: dict[str, RunSpec]
    evaluation: EvaluationSpec
    seeds: list[int] = field(default_factory=lambda: [0])
    workers: int = 2
    set: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    path: Path = Path()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a study file.

        Raises:
            ValueError: If the file is missing, is no YAML, or has wrong keys or names; all
                problems in one message.
        """
        if not path.is_file():
            raise ValueError(f"study: got {path}, but there is no such file")
        value = read_yaml(path, "study")
        try:
            study = cls._of(value, path)
        except ValueError as error:
            raise ValueError(f"study {path}: {error}") from error
        if problems := problems_of(study):
            raise ValueError(f"study {path}: " + "; ".join(problems))
        return study

    @classmethod
    def _of(cls, value: Any, path: Path) -> Self:
        """Build a study of what its file holds."""
        raw = mapping(value, cls, "study")
        need(raw, ("name", "title", "sizes", "runs", "evaluation"), "study")
        if not isinstance(raw["runs"], Mapping):
            raise ValueError(f"runs: got {raw['runs']!r}, allowed: a mapping of names to runs")
        raw["runs"] = {
            name: build(RunSpec, run, f"runs.{name}") for name, run in raw["runs"].items()
        }
        evaluation = mapping(raw["evaluation"], EvaluationSpec, "evaluation")
        need(evaluation, ("source", "runs", "systems"), "evaluation")
        if not isinstance(evaluation["systems"], list):
            raise ValueError(
                f"evaluation.systems: got {evaluation['systems']!r}, allowed: a list of systems"
            )
        evaluation["source"] = _source(evaluation["source"], path)
        if isinstance(prompts := evaluation.get("prompts"), str):
            evaluation["prompts"] = _prompts(prompts, path)
        evaluation["systems"] = [
            build(SystemSpec, system, f"evaluation.systems[{number}]")
            for number, system in enumerate(evaluation["systems"])
        ]
        raw["evaluation"] = build(EvaluationSpec, evaluation, "evaluation")
        return build(cls, {**raw, "path": path.resolve()}, "study")


def _prompts(given: str, study: Path) -> str:
    """Return the name of a prompt set, or the path of its file where there is one."""
    if given in PROMPT_SET_NAMES:
        return given
    files = (study.parent / given, Path(given))
    return next((str(file.resolve()) for file in files if file.is_file()), given)


def _source(given: Any, study: Path) -> Any:
    """Return what `evaluation.source` says, read from its file where it names one."""
    if not isinstance(given, str):
        return given
    path = study.parent / given
    if not path.is_file():
        raise ValueError(f"evaluation.source: got {given!r}, but there is no file {path}")
    return read_yaml(path, "evaluation.source")
