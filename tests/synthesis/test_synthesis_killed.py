"""Killed without warning, the same command goes on and ends as one that was never stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthesis.made import SHORT, TALK, asked, files_of, llava, spec_file, synthesize, talk, teacher

from mmlite.files import only_one
from mmlite.synthesis import runner

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from mmlite.cli import main; sys.exit(main())"
ROWS = 12


@pytest.fixture
def spec(tmp_path):
    said = [(TALK, SHORT)[row % 2] for row in range(ROWS)]
    # Every row asks something else, so that no text stands for two of them.
    talks = [
        talk(f"t{row}", [f"{row % 4}.png"], f"{row}: {said[row][0]}", *said[row][1:])
        for row in range(ROWS)
    ]
    slow = teacher(tmp_path, seconds=0.02)
    return spec_file(tmp_path, llava(tmp_path, talks), teacher=slow)


def start(spec, out):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "synthesize", str(spec), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def wait_until(process, condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_point_it_goes_on_and_ends_as_one_never_stopped(spec, tmp_path):
    out, store = tmp_path / "out", tmp_path / "out" / "store"
    with start(spec, out) as process:
        wait_until(process, lambda: len(asked(tmp_path)) > 5 and list(store.glob("*.jsonl")))
        os.kill(process.pid, signal.SIGKILL)
    assert not (out / "extraction.jsonl").exists()
    kept = sum(len(path.read_text().splitlines()) for path in store.glob("*.jsonl"))
    assert 0 < kept < ROWS * 3
    assert synthesize(spec, out) == 0
    killed = [line for line in asked(tmp_path) if line[0] != "load"]
    (tmp_path / "script.log").unlink()
    assert synthesize(spec, tmp_path / "whole") == 0
    assert files_of(tmp_path / "whole") == files_of(out)
    whole = [line for line in asked(tmp_path) if line[0] != "load"]
    assert len(killed) <= len(whole) + 1, "what was kept was written again"


def test_killed_while_it_writes_nothing_half_is_left(spec, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mmlite.synthesis.writing.data_card", killed)
        assert synthesize(spec, out) == 130
    assert not (out / "synthesis.json").exists(), "which says that all is there"
    assert synthesize(spec, out) == 0
    assert synthesize(spec, tmp_path / "whole") == 0
    assert files_of(tmp_path / "whole") == files_of(out)


def test_rows_in_several_chunks_are_the_same_rows(spec, tmp_path, monkeypatch):
    assert synthesize(spec, tmp_path / "whole") == 0
    monkeypatch.setattr(runner, "CHUNK_ROWS", 5)
    assert synthesize(spec, tmp_path / "out") == 0
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "out")


def test_two_do_not_write_to_one_folder(spec, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with only_one(out, "synthesize"):
        assert synthesize(spec, out) == 1
    assert "which another mmlite synthesize is writing to" in capsys.readouterr().err
