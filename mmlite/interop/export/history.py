"""What a run's folder tells of how its model came about: stages, data, scores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmlite.analysis.intervals import wilson
from mmlite.config.signatures import resolve
from mmlite.predictions import read_predictions
from mmlite.records import Prediction
from mmlite.runs import CONFIG_FILE

_COLUMNS = {
    "system": "system",
    "group": "group",
    "correct": "correct",
    "total": "n",
    "low": "ci_low",
    "high": "ci_high",
}
"""Fields of a score, and the columns of a study's results they come from."""


@dataclass(frozen=True)
class StageRecord:
    """One stage a model went through.

    Attributes:
        name: Of the run's folder.
        stage: Class of the stage.
        trained: Parts that learnt.
        steps: Optimizer steps that were done, or, where no curve tells, that were asked for.
        data: Sources, each with what was asked of it.
    """

    name: str
    stage: str
    trained: tuple[str, ...]
    steps: int | None
    data: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """One score with its 95 % interval.

    Attributes:
        system: Who answered.
        group: Questions.
        seed: Of the run.
        correct: Right answers.
        total: Questions.
        low: Lower end.
        high: Upper end.
    """

    system: str
    group: str
    seed: int
    correct: int
    total: int
    low: float
    high: float


def stages_of(run: Path) -> list[StageRecord]:
    """Return the stages that made a run's weights, first to last, as far as they are on disk."""
    seen: dict[Path, StageRecord] = {}
    _collect(run, seen)
    return list(seen.values())


def _collect(run: Path, seen: dict[Path, StageRecord]) -> None:
    run = run.resolve()
    config = config_of(run)
    if run in seen or config is None:
        return
    arguments = config.get("model", {}).get("init_args", {})
    for path in dict.fromkeys((arguments.get("init_from") or {}).values()):
        _collect(Path(path), seen)
    seen[run] = StageRecord(
        name=run.name,
        stage=str(config.get("model", {}).get("class_path", "")).rpartition(".")[2],
        trained=tuple(arguments.get("trainable") or _default_trainable(config)),
        steps=_steps(run, config),
        data=tuple(_sources(config.get("data", {}).get("init_args", {}).get("train") or [])),
    )


def _steps(run: Path, config: Mapping[str, Any]) -> int | None:
    """Return how many steps a run did; one that counts epochs only knows by its curve."""
    points = _json(run / "curve.json").get("points")
    steps = points[-1][0] if points else config.get("trainer", {}).get("max_steps")
    return steps if isinstance(steps, int) and steps > 0 else None


def _default_trainable(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the parts that a stage trains unless it is told otherwise."""
    found = resolve(str(config.get("model", {}).get("class_path", "")))
    return getattr(found, "default_trainable", ())


def run_of(path: Path) -> Path:
    """Return the folder of a run, given it or one of its checkpoints."""
    path = path.resolve()
    return next((f for f in (path, *path.parents) if (f / CONFIG_FILE).is_file()), path)


def config_of(run: Path) -> dict[str, Any] | None:
    """Return a run's composed configuration, or None where it has none."""
    path = run / CONFIG_FILE
    if not path.is_file():
        return None
    value = yaml.safe_load(path.read_text())
    return value if isinstance(value, dict) else None


def _sources(train: Sequence[Any]) -> Iterator[str]:
    for entry in train:
        if not isinstance(entry, Mapping):
            continue
        source = entry.get("source", entry)
        asked = {
            **(source.get("init_args") or {}),
            **{key: entry[key] for key in ("weight", "limit", "replay") if entry.get(key)},
        }
        # File names only: where data lies on a machine is nobody's business.
        words = [f"{k}={Path(v).name if _is_path(v) else v}" for k, v in asked.items() if v]
        name = str(source.get("class_path", "")).rpartition(".")[2]
        yield name + (f" ({', '.join(words)})" if words else "")


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "/" in value


def scores_of(run: Path) -> list[Score]:
    """Return a run's scores: in the study it belongs to, or from `mmlite predict`."""
    return _study_scores(run) or _own_scores(run)


def _own_scores(run: Path) -> list[Score]:
    answered: dict[tuple[str, str, int], list[Prediction]] = {}
    for file in sorted((run / "predictions").glob("*.jsonl")):
        for prediction in read_predictions(file):
            key = (prediction.system, prediction.group, prediction.seed)
            answered.setdefault(key, []).append(prediction)
    found = []
    for (system, group, seed), predictions in answered.items():
        correct = sum(p.correct for p in predictions)
        interval = wilson(correct, len(predictions))
        found.append(Score(system, group, seed, correct, len(predictions), *interval))
    return found


def _study_scores(run: Path) -> list[Score]:
    """Return the rows of the study's results in which this run plays a role."""
    study = run.resolve().parents[1]
    about, results = _json(study / "study.json"), _json(study / "results.json")
    name = f"{run.resolve().parent.name}/{run.resolve().name}"
    mine = [entry for entry in about.get("runs", ()) if entry.get("name") == name]
    if not mine:
        return []
    roles, size, seed = mine[0].get("roles", ()), mine[0].get("size"), mine[0].get("seed")
    return [
        Score(
            row["system"],
            row["group"],
            seed,
            row["correct"],
            row["n"],
            row["ci_low"],
            row["ci_high"],
        )
        for row in results.get("rows", ())
        if row["category"] == "all"
        and row["seed"] == seed
        and row["perceiver"] in roles
        and row["perceiver_size"] == size
    ]


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
