"""Jobs: their order, and what makes a job's key another one."""

import importlib.util
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from study.studies import ROOT, small_study

from mmlite.config.files import referenced_files
from mmlite.prompts import load_prompts
from mmlite.study import keys as keys_module
from mmlite.study.jobs import Job, is_done, mark_done, plan, predictions_file, seconds_of
from mmlite.study.preflight import check_evaluation
from mmlite.study.spec import StudySpec
from mmlite.study.work import _prompts, resume_point
from mmlite.study.yaml_file import read_yaml

TRAINED = {f"{run}-{size}" for run in ("language", "extraction", "instruction") for size in "ab"}
PERCEIVED = {"perceive-extract-a", "perceive-extract-b"}
BY_REASONER = {"answer-reasoner-a", "answer-reasoner-b"}
BY_MODEL = {"answer-end_to_end-a", "answer-end_to_end-b"} | BY_REASONER
ANSWERED = BY_MODEL | {"answer-symbolic"}
EXTRACTED = {"extraction-a", "extraction-b"} | PERCEIVED | BY_REASONER


def planned(folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> list[Job]:
    return plan(StudySpec.read(small_study(folder, change)), folder / "out")


def keys(jobs: list[Job]) -> dict[str, str]:
    return {job.name.removeprefix("seed-0/"): job.key for job in jobs}


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> set[str]:
    """Names of the jobs that a change of the study does again."""
    old, new = keys(planned(folder / "old")), keys(planned(folder / "new", change))
    return {name for name in new if new[name] != old.get(name)}


def test_every_job_stands_after_those_it_needs(tmp_path: Path) -> None:
    jobs = planned(tmp_path)
    assert {job.name for job in jobs} == {f"seed-0/{n}" for n in TRAINED | PERCEIVED | ANSWERED}
    for number, job in enumerate(jobs):
        assert set(job.after) <= {other.name for other in jobs[:number]}
    by_name = {job.name.removeprefix("seed-0/"): job for job in jobs}
    assert by_name["extraction-b"].after == ("seed-0/language-b",)
    # The grid: a reasoner of any size answers from what perceivers of every size saw.
    assert set(by_name["answer-reasoner-a"].after) == {
        "seed-0/language-a",
        "seed-0/perceive-extract-a",
        "seed-0/perceive-extract-b",
    }
    assert len(by_name["answer-reasoner-a"].arguments["pairs"]) == 2


def test_keys_do_not_depend_on_folders(tmp_path: Path) -> None:
    assert keys(planned(tmp_path / "one")) == keys(planned(tmp_path / "two"))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda s: s["runs"]["extraction"].update(set={"trainer.max_steps": 6}), EXTRACTED),
        (
            lambda s: s["runs"]["instruction"].update(set={"model.init_args.lr_scale": {}}),
            {"instruction-a", "instruction-b", "answer-end_to_end-a", "answer-end_to_end-b"},
        ),
        (
            lambda s: s.update(set={"trainer.gradient_clip_val": 2.0}),
            TRAINED | PERCEIVED | BY_MODEL,
        ),
        (
            lambda s: s["runs"]["language"].update(set={"trainer.max_steps": 6}),
            TRAINED | PERCEIVED | BY_MODEL,
        ),
        (lambda s: s["evaluation"].update(max_new_tokens=9), PERCEIVED | ANSWERED),
        (lambda s: s["evaluation"].update(split="validation"), PERCEIVED | ANSWERED),
        (lambda s: s["evaluation"].update(prompts="paper"), PERCEIVED | ANSWERED),
        (
            lambda s: s["evaluation"]["source"]["init_args"].update(world={"noise": 0.0}),
            PERCEIVED | ANSWERED,
        ),
        (
            lambda s: s["evaluation"]["systems"].append({"end_to_end": "blind"}),
            {"answer-end_to_end-a", "answer-end_to_end-b"},
        ),
        (lambda s: s["evaluation"]["systems"][1].update(pairs="same"), BY_REASONER),
        (lambda s: s.update(sizes=["a"]), {"answer-reasoner-a"}),
        (lambda s: s.update(title="Another", workers=1, limits=["x"], name="other"), set()),
        (lambda s: s["evaluation"].update(examples_per_kind=2), set()),
    ],
)
def test_a_change_does_again_what_depends_on_it(change, again, tmp_path: Path) -> None:
    assert changed(tmp_path, change) == again


def test_a_run_that_sizes_share_begins_with_none_of_a_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'language', of which there is one for each size, al"):
        planned(tmp_path, lambda s: s["runs"]["extraction"].pop("each"))


def test_a_source_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text("class_path: [\n")
    with pytest.raises(ValueError, match=r"evaluation.source: .*source.yaml, line 2 is no YAML"):
        planned(tmp_path, lambda s: s["evaluation"].update(source="source.yaml"))


def test_a_source_file_that_says_a_key_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text("class_path: a.B\ninit_args: {x: 1,\n  x: 1}\n")
    told = r"source.yaml, line 3 is no YAML \(got the key 'x', which is in line 2 already\)"
    with pytest.raises(ValueError, match=told):
        planned(tmp_path, lambda s: s["evaluation"].update(source="source.yaml"))


def test_keys_that_are_merged_into_others_may_be_given_again(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b}\n")
    read = read_yaml(tmp_path / "source.yaml", "evaluation.source")
    assert read == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 3, "y": 2}}


def test_another_seed_is_another_study(tmp_path: Path) -> None:
    study = replace(StudySpec.read(small_study(tmp_path)), seeds=[0, 1])
    jobs = plan(study, tmp_path)
    assert len({job.key for job in jobs}) == len(jobs) == 26
    assert [job.key for job in jobs if job.seed == 0] == list(keys(planned(tmp_path)).values())


def test_a_changed_file_does_again_the_runs_that_read_it(tmp_path: Path) -> None:
    """Also one that a run's file names, and one that is named inside a flow mapping."""
    part = tmp_path / "part.yaml"
    part.write_text("shuffle: 2  # as in run.yaml\n")
    (tmp_path / "run.yaml").write_text("model: {projector: part.yaml, vision: gone.yaml}\n")

    def add(study: dict[str, Any]) -> None:
        study["runs"]["extraction"]["config"].append(str(tmp_path / "run.yaml"))

    assert referenced_files(tmp_path / "run.yaml") == [tmp_path / "run.yaml", part.resolve()]
    assert referenced_files(part) == [part], "what a comment names does not count"
    before = keys(planned(tmp_path, add))
    part.write_text("shuffle: 3\n")
    after = keys(planned(tmp_path, add))
    assert {name for name in after if after[name] != before[name]} == EXTRACTED


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("model: {projector: {class_path: ablations.parts.Projector}}\n", {}),
        ("model: {projector: ablations.parts.Projector}\n", {}),
        ("model: {}\n", {"model.init_args.projector": "ablations.parts.Projector"}),
    ],
)
def test_a_changed_class_of_ones_own_does_again_the_runs_that_name_it(
    text: str, flags: dict[str, str], tmp_path: Path, monkeypatch
) -> None:
    package = tmp_path / "ablations"
    package.mkdir()
    (package / "parts.py").write_text("class Projector: ...\n")
    (package / "helpers.py").write_text("SCALE = 1\n")
    run = tmp_path / "run.yaml"
    run.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    keys_module._own_code.cache_clear()

    def add(study: dict[str, Any]) -> None:
        study["runs"]["extraction"]["config"].append(str(run))
        study["runs"]["extraction"]["set"] = flags

    before = keys(planned(tmp_path, add))
    (package / "helpers.py").write_text("SCALE = 2\n")
    after = keys(planned(tmp_path, add))
    assert {name for name in after if after[name] != before[name]} == EXTRACTED
    installed = b"class_path: torch.nn.Linear\nclass_path: gone.Away"
    assert keys_module.code_of(installed) == []


def test_a_prompt_set_in_the_current_folder_is_read_too(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mine.yaml").write_text("base: micro\n")
    (tmp_path / "runs").mkdir()
    run = tmp_path / "runs" / "run.yaml"
    run.write_text("data: {init_args: {prompts: mine.yaml}}\n")
    assert referenced_files(run) == [run]
    monkeypatch.chdir(tmp_path)
    assert referenced_files(run) == [run, (tmp_path / "mine.yaml").resolve()]


def with_prompts(study: dict[str, Any]) -> None:
    study["evaluation"]["prompts"] = "mine.yaml"


PROMPTS = "source: a test\nbase: micro\ntemplates: {caption: tell}\n"


@pytest.mark.parametrize("folder", ["study", "elsewhere"])
def test_changed_prompts_do_the_evaluation_again(folder: str, tmp_path: Path, monkeypatch) -> None:
    """Those beside the study, and those in the current folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study = small_study(tmp_path / "study", with_prompts)
    prompts = tmp_path / folder / "mine.yaml"
    prompts.write_text(PROMPTS)
    before = keys(plan(StudySpec.read(study), tmp_path))
    prompts.write_text(PROMPTS.replace("tell", "say"))
    after = keys(plan(StudySpec.read(study), tmp_path))
    assert {name for name in after if after[name] != before[name]} == PERCEIVED | ANSWERED


def test_prompts_are_one_file_wherever_they_are_asked_for(tmp_path: Path, monkeypatch) -> None:
    """A built-in name wins, then a file beside the study, then one in the current folder."""
    study, other = tmp_path / "study", tmp_path / "other"
    other.mkdir()
    (other / "mine.yaml").write_text(PROMPTS.replace("tell", "say"))
    (other / "micro").write_text(PROMPTS)
    monkeypatch.chdir(other)
    path = small_study(study, with_prompts)
    told = []
    changes: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: (study / "mine.yaml").write_text(PROMPTS),
        (other / "mine.yaml").unlink,
    )
    for change in changes:
        change()
        spec = StudySpec.read(path)
        check_evaluation(spec)
        told.append(_prompts(spec).templates["caption"])
    assert told == ["say", "tell", "tell"]
    named = StudySpec.read(small_study(study, lambda s: s["evaluation"].update(prompts="micro")))
    assert _prompts(named) == load_prompts("micro")


def test_keys_do_not_depend_on_where_prompts_are(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.yaml").write_text(PROMPTS)
        found.append(keys(planned(tmp_path / name, with_prompts)))
    assert found[0] == found[1]


def test_a_job_is_done_with_its_own_mark_and_what_it_made(tmp_path: Path) -> None:
    jobs = {job.name.removeprefix("seed-0/"): job for job in planned(tmp_path)}
    out = tmp_path / "out"
    trained, answered = jobs["language-a"], jobs["answer-symbolic"]
    for job, made in (
        (trained, out / "seed-0" / "language-a" / "weights.safetensors"),
        (answered, predictions_file(answered, out)),
    ):
        mark_done(job, out, 1.5)
        assert not is_done(job, out), "a mark without what the job makes"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"x\ny\n")
        mark_done(job, out, 1.5)
        assert is_done(job, out)
        made.write_bytes(b"x\n")
        assert not is_done(job, out), "what the job made was cut"
        made.write_bytes(b"x\ny\n")
        assert not is_done(replace(job, key="other"), out)
        assert seconds_of(job, out) == 1.5
    assert predictions_file(answered, out).name == "seed-0-symbolic.jsonl"
    names = ("answer-reasoner-a", "answer-reasoner-answer-a")
    files = {predictions_file(replace(answered, name=f"seed-0/{name}"), out) for name in names}
    assert len(files) == 2, "a size may be named like the jobs"
    for text in ('{"ke', "[]"):
        (out / "seed-0" / "language-a" / "done.json").write_text(text)
        assert not is_done(trained, out), "a mark that is cut off or none"
    mark_done(jobs["perceive-extract-a"], out, 1.5)
    assert is_done(jobs["perceive-extract-a"], out), "which makes no file of its own"


def test_a_killed_run_goes_on_from_its_last_whole_checkpoint(tmp_path: Path) -> None:
    job, *_ = planned(tmp_path)
    kept = tmp_path / "run" / "checkpoints"
    kept.mkdir(parents=True)
    (tmp_path / "run" / "started.json").write_text(json.dumps({"key": job.key}))
    assert resume_point(tmp_path / "run", job) is None
    for number, name in enumerate(("step=10.ckpt", "step=20.ckpt", "step=30.ckpt")):
        with zipfile.ZipFile(kept / name, "w") as file:
            file.writestr("data", name)
        os.utime(kept / name, (number, number))
    whole = (kept / "step=30.ckpt").read_bytes()
    (kept / "last.ckpt").symlink_to("step=10.ckpt")
    assert resume_point(tmp_path / "run", job) == kept / "last.ckpt"
    (kept / "step=10.ckpt").unlink()  # killed before the link was made anew
    (kept / "step=30.ckpt").write_bytes(whole[:-30])  # killed while it was written
    assert resume_point(tmp_path / "run", job) == kept / "step=20.ckpt"
    assert resume_point(tmp_path / "run", replace(job, key="other")) is None
    (tmp_path / "run" / "weights.safetensors").write_bytes(b"x")
    assert resume_point(tmp_path / "run", job) is None


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages' sources."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("mmlite", "data_modules", "callbacks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def keys_of(sources: Path) -> ModuleType:
    """The module of keys as it is in a copy of the sources, so that it looks at that copy."""
    spec = importlib.util.spec_from_file_location(
        "copied_keys", sources / "mmlite" / "study" / "keys.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("edited", "results_change", "report_changes"),
    [
        ("mmlite/microworld/scene.py", True, False),
        ("mmlite/prompts/micro.yaml", True, False),
        ("mmlite/stages/base.py", True, False),
        ("data_modules/batching/plan.py", True, False),
        ("callbacks/curve.py", True, False),
        ("mmlite/analysis/words.py", False, True),
        ("mmlite/analysis/templates/report.css", False, True),
        ("mmlite/study/summary.py", False, True),
        ("mmlite/study/work.py", True, True),
        ("mmlite/study/sources.py", True, True),
        ("mmlite/training/command.py", True, False),
        ("mmlite/cli/main.py", False, False),
    ],
)
def test_a_changed_program_makes_its_results_again(
    edited: str, results_change: bool, report_changes: bool, sources: Path
) -> None:
    before = keys_of(sources)
    old = before.program_key(), before.program_key(reporting=True)
    file = sources / edited
    text = file.read_text()
    try:
        file.write_text(text + "\n")
        module = keys_of(sources)
        new = module.program_key(), module.program_key(reporting=True)
    finally:
        file.write_text(text)
    assert (new[0] != old[0], new[1] != old[1]) == (results_change, report_changes)


def test_compiled_files_do_not_count(sources: Path) -> None:
    before = keys_of(sources).program_key()
    cached = sources / "mmlite" / "__pycache__" / "batch.cpython-312.pyc"
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(b"x")
    assert keys_of(sources).program_key() == before
    assert keys_module.program_key() == before


def test_arguments_survive_json(tmp_path: Path) -> None:
    for job in planned(tmp_path):
        assert json.loads(json.dumps(job.arguments)) == job.arguments
