"""The study file: which runs, which sizes and seeds, which systems."""

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

import yaml

PERCEIVERS = ("extract", "caption", "oracle_question", "oracle_scene", "oracle_caption", "blind")
REASONERS = ("think", "answer", "symbolic", "majority")
MODEL_PERCEIVERS = ("extract", "caption")
MODEL_REASONERS = ("think", "answer")
PAIRS = ("same", "grid")
ROLES = ("end_to_end", "extract", "caption", "reasoner")
MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning take."""

T = TypeVar("T")


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
        prompts: Prompt set by name or path.
        max_new_tokens: Longest text a model may write, in tokens.
        examples_per_kind: Examples of each category in the report's gallery.
    """

    source: dict[str, Any]
    runs: dict[str, str]
    systems: list[SystemSpec]
    models: dict[str, Any] = field(default_factory=dict)
    split: str = "test"
    prompts: str = "micro"
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
        value = _read_yaml(path, "study")
        try:
            study = cls._of(value, path)
        except ValueError as error:
            raise ValueError(f"study {path}: {error}") from error
        if problems := _problems(study):
            raise ValueError(f"study {path}: " + "; ".join(problems))
        return study

    @classmethod
    def _of(cls, value: Any, path: Path) -> Self:
        """Build a study of what its file holds."""
        raw = _mapping(value, cls, "study")
        _need(raw, ("name", "title", "sizes", "runs", "evaluation"), "study")
        if not isinstance(raw["runs"], Mapping):
            raise ValueError(f"runs: got {raw['runs']!r}, allowed: a mapping of names to runs")
        raw["runs"] = {
            name: _build(RunSpec, run, f"runs.{name}") for name, run in raw["runs"].items()
        }
        evaluation = _mapping(raw["evaluation"], EvaluationSpec, "evaluation")
        _need(evaluation, ("source", "runs", "systems"), "evaluation")
        if not isinstance(evaluation["systems"], list):
            raise ValueError(
                f"evaluation.systems: got {evaluation['systems']!r}, allowed: a list of systems"
            )
        evaluation["source"] = _source(evaluation["source"], path)
        evaluation["systems"] = [
            _build(SystemSpec, system, f"evaluation.systems[{number}]")
            for number, system in enumerate(evaluation["systems"])
        ]
        raw["evaluation"] = _build(EvaluationSpec, evaluation, "evaluation")
        return _build(cls, {**raw, "path": path.resolve()}, "study")


def _need(value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{where}: got no {', '.join(missing)}; a study needs {', '.join(keys)}")


def _source(given: Any, study: Path) -> Any:
    """Return what `evaluation.source` says, read from its file where it names one."""
    if not isinstance(given, str):
        return given
    path = study.parent / given
    if not path.is_file():
        raise ValueError(f"evaluation.source: got {given!r}, but there is no file {path}")
    return _read_yaml(path, "evaluation.source")


def _read_yaml(path: Path, where: str) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {path} is no text in UTF-8; save it as such") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ValueError(
            f"{where}: {path}{place} is no YAML ({problem}); correct it there"
        ) from error


def _mapping(value: Any, kind: type[Any], where: str) -> dict[str, Any]:
    """Check that a value is a mapping with the keys of a class."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: got {value!r}, allowed: a mapping")
    allowed = [f.name for f in dataclasses.fields(kind)]
    if unknown := sorted(set(value) - set(allowed)):
        near = difflib.get_close_matches(unknown[0], allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; correct or remove it"
        raise ValueError(f"{where}: got {unknown}, allowed: {', '.join(allowed)}{hint}")
    return dict(value)


def _build(kind: type[T], value: Any, where: str) -> T:
    given_keys = _mapping(value, kind, where)
    hints = get_type_hints(kind)
    for key, given in given_keys.items():
        kinds = [get_origin(hint) or hint for hint in (get_args(hints[key]) or (hints[key],))]
        if get_origin(hints[key]) in (list, dict):
            kinds = [get_origin(hints[key])]
        if not isinstance(given, tuple(kinds)) or (isinstance(given, bool) and bool not in kinds):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{where}.{key}: got {given!r}, allowed: {names}; correct it")
        _check_texts(given, hints[key], f"{where}.{key}")
    return kind(**given_keys)


def _check_texts(given: Any, hint: Any, where: str) -> None:
    """Check that what a list or mapping holds is texts where it must be."""
    if get_origin(hint) is list:
        parts = [("items", given)]
    elif get_origin(hint) is dict:
        parts = [("keys", list(given)), ("values", list(given.values()))]
    else:
        return
    for (name, values), kind in zip(parts, get_args(hint), strict=True):
        wrong = [value for value in values if kind is str and not isinstance(value, str)]
        if wrong:
            raise ValueError(f"{where}: got {name} {wrong}, allowed: texts; put names into quotes")


def _problems(study: StudySpec) -> list[str]:
    problems = []
    for name, run in study.runs.items():
        problems += _run_problems(study, name, run)
    roles = study.evaluation.runs
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
    if study.evaluation.split not in ("validation", "test"):
        problems.append(
            f"evaluation.split: got {study.evaluation.split!r}, allowed: validation, test"
        )
    if wrong := seed_problem(study.seeds):
        problems.append(f"seeds: {wrong}")
    if not study.seeds or not (study.sizes or study.evaluation.models):
        problems.append("seeds, sizes: got an empty list, allowed: one or more")
    if study.workers < 1:
        problems.append(f"workers: got {study.workers}, allowed: 1 or more")
    return problems


def seed_problem(seeds: Sequence[Any]) -> str:
    """Return what is wrong with a study's seeds, or nothing."""
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    if whole and len(set(seeds)) == len(seeds) and all(0 <= seed <= MAX_SEED for seed in seeds):
        return ""
    return f"got {list(seeds)}, allowed: different whole numbers from 0 to {MAX_SEED}"


def _run_problems(study: StudySpec, name: str, run: RunSpec) -> list[str]:
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


def _model_problems(study: StudySpec) -> list[str]:
    problems = []
    for name, model in study.evaluation.models.items():
        if name in study.sizes or not re.fullmatch(r"[\w.+-]+", name):
            problems.append(
                f"evaluation.models: got the name {name!r}, allowed: letters, digits, and . _ + -, "
                "and no name of a size"
            )
        if not isinstance(model, Mapping) or not isinstance(model.get("class_path"), str):
            problems.append(
                f"evaluation.models.{name}: got {model!r}, allowed: class_path and init_args, such "
                "as {class_path: mmlite.interop.ImageTextModel, init_args: {name: FOLDER}}"
            )
    return problems


def _system_problems(system: SystemSpec, evaluation: EvaluationSpec) -> list[str]:
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


def _published_problems(system: SystemSpec, models: Mapping[str, Any]) -> list[str]:
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
