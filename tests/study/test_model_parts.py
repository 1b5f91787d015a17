"""What runs are made of is told by shapes, and a run in a wrong role is noticed in any case."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from study.studies import small_study
from torch import nn

from mmlite.stages import LanguagePretraining
from mmlite.study import work
from mmlite.study.jobs import plan
from mmlite.study.parts import Parts, parts_of
from mmlite.study.spec import StudySpec
from mmlite.training.parsers import check_arguments, training_parsers

# The command quietens them itself, where pytest does not watch.
pytestmark = pytest.mark.filterwarnings("ignore")


def parts(folder: Path, name: str) -> Parts | None:
    jobs = plan(StudySpec.read(small_study(folder)), folder / "out")
    job = next(job for job in jobs if job.name == f"seed-0/{name}")
    fit = training_parsers()["fit"]
    return parts_of(fit, check_arguments(fit, work.run_arguments(job, folder / "out")[1:]))


def test_parts_of_a_run_are_told_by_shapes(tmp_path: Path) -> None:
    language = Parts("LanguagePretraining", ("language",), writes=True, sees=False)
    assert parts(tmp_path, "language-a") == language
    everything = ("vision", "projector", "language")  # the encoder is random, and nowhere else
    assert parts(tmp_path, "extraction-a") == Parts("ExtractionTuning", everything, True, True)
    assert not (tmp_path / "out").exists()


def test_a_model_that_has_no_shapes_alone_is_left_to_its_run(tmp_path: Path, monkeypatch) -> None:
    def build(stage: LanguagePretraining) -> nn.Module:
        raise NotImplementedError("got no numbers")

    monkeypatch.setattr(LanguagePretraining, "build", build)
    assert parts(tmp_path, "language-a") is None


def test_a_done_run_that_writes_no_text_plays_no_role(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "done.json").write_text(json.dumps({"key": "x"}))
    monkeypatch.setattr(work, "load_run", lambda folder: SimpleNamespace(built=nn.Identity()))
    with pytest.raises(ValueError, match=r"got the run in .*run, of .*, whose model writes no tex"):
        work._engine("run", tmp_path)
