"""Marks are written whole or not at all, in UTF-8 wherever they are written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from study.studies import ROOT, small_study

from mmlite.study import work
from mmlite.study.jobs import plan
from mmlite.study.marks import read_json, write_json
from mmlite.study.spec import StudySpec

WRITE = "import sys, pathlib; from mmlite.study.marks import *; path = pathlib.Path(sys.argv[1]); "
WRITE += r"write_json(path, {'title': 'gr\xf6\xdfer'}); assert len(read_json(path)['title']) == 6"


def test_what_is_missing_or_cut_off_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "mark.json"
    assert read_json(path) == {}
    write_json(path, {"key": "x"})
    assert read_json(path) == {"key": "x"}
    for text in ('{"key": "', "3"):
        path.write_text(text)
        assert read_json(path) == {}


def test_files_are_in_utf_8_whatever_the_system_writes(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITE, str(path)]
    subprocess.run(command, env={**os.environ, **plain}, check=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {"title": "gr\xf6\xdfer"}


def test_the_mark_of_a_started_run_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a kill, comes while a mark is written or before it takes its name."""

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    study = StudySpec.read(small_study(tmp_path))
    job = plan(study, tmp_path)[0]
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        work._train(job, study, tmp_path, lambda *told: None)
    assert not (tmp_path / job.name / work.STARTED_FILE).exists()
