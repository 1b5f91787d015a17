"""Every run and study says its question, and its own command holds."""

from pathlib import Path

import pytest
from experiments.headers import EXPERIMENTS, KEYS, ROOT, built, command, headers, parsed, run_files

from data_modules import ExampleData
from mmlite.stages import Stage
from mmlite.study.jobs import plan
from mmlite.study.preflight import jobs_to_read
from mmlite.study.sources import build_source
from mmlite.study.spec import StudySpec
from mmlite.study.work import run_arguments
from mmlite.synthesis.spec import SynthesisSpec
from mmlite.synthesis.teachers import Teachers
from mmlite.training.parsers import training_parsers

RUNS = [file for file in run_files() if headers(file).get("Run", "").startswith("mmlite fit")]
SYNTHESES = [
    file for file in run_files() if headers(file).get("Run", "").startswith("mmlite synthesize")
]
STUDIES = [file for file in run_files() if headers(file).get("Run", "").startswith("mmlite study")]


def short(file: Path) -> str:
    return file.relative_to(EXPERIMENTS).as_posix()


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are typed where the project is."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def data(request: pytest.FixtureRequest) -> None:
    """Skip a file whose data is not here."""
    if "nlvr" in request.node.name:
        request.getfixturevalue("shared_data")


def test_every_file_is_a_run_a_study_or_a_synthesis() -> None:
    assert len(RUNS) >= 6
    assert len(STUDIES) >= 2
    assert len(SYNTHESES) >= 1
    assert sorted(RUNS + STUDIES + SYNTHESES) == run_files()


@pytest.mark.parametrize("file", run_files(), ids=short)
def test_header_is_whole(file: Path) -> None:
    found = headers(file)
    assert tuple(found)[: len(KEYS)] == KEYS, "in this order"
    assert found["Q"].endswith("?")
    assert str(file.relative_to(ROOT)) in found["Run"], "the command names its own file"


PAPER = [file for file in RUNS if file.parent.name == "paper"]


@pytest.mark.parametrize("file", PAPER, ids=short)
def test_run_of_the_paper_is_parsed(file: Path) -> None:
    """Its models and data are not here; test_paper.py builds it with others."""
    assert parsed(command(file))["run"] == f"runs/paper/{file.stem}"


@pytest.mark.parametrize("file", [file for file in RUNS if file not in PAPER], ids=short)
@pytest.mark.usefixtures("data")
def test_run_is_built_by_its_own_command(file: Path, tmp_path: Path) -> None:
    cli = built(command(file), tmp_path)
    assert isinstance(cli.model, Stage)
    assert isinstance(cli.datamodule, ExampleData)
    assert cli.model.processor is cli.datamodule.processor
    assert len(cli.datamodule.train_dataloader()) > 0
    for part in cli.model.init_from:
        assert getattr(cli.model, part) is not None, f"{part} comes from a run, but is not built"


@pytest.mark.parametrize("file", SYNTHESES, ids=short)
def test_synthesis_is_read_and_its_teachers_are_built(file: Path, tmp_path: Path) -> None:
    """Their weights and the data are not here."""
    spec = SynthesisSpec.read(ROOT / command(file)[1])
    assert {"statements", "grounded_description"} <= set(spec.prompt_set().templates)
    teachers = Teachers(spec, tmp_path)
    budgets = {role: how.max_new_tokens for role, how in teachers.decodings.items()}
    assert budgets == {"info": 256, "statements": 1024, "describe": 2048}
    assert teachers.identity("statements") == teachers.identity("describe"), "loaded once"
    assert spec.image_px == 512


@pytest.mark.parametrize("file", STUDIES, ids=short)
@pytest.mark.usefixtures("data")
def test_study_is_read_and_its_source_built(file: Path) -> None:
    study = StudySpec.read(ROOT / command(file)[1])
    for seed in study.seeds:
        rows = build_source(study.evaluation.source, seed).rows(study.evaluation.split)
        assert len(rows) > 0


@pytest.mark.parametrize("file", STUDIES, ids=short)
def test_every_run_and_size_of_a_study_parses(file: Path, tmp_path: Path) -> None:
    """The command lines that workers are given: each run once, and each file of a size."""
    study = StudySpec.read(ROOT / command(file)[1])
    jobs = jobs_to_read(plan(study, tmp_path))
    assert jobs
    fit = training_parsers()["fit"]
    for job in jobs:
        config = fit.parse_args(run_arguments(job, tmp_path)[1:])
        assert config["run"] == str(tmp_path / job.name)
        given = config["model"]["init_args"].get("init_from") or {}
        assert {name: Path(path) for name, path in given.items()} == {
            name: Path(path) for name, path in job.arguments["init_from"].items()
        }
