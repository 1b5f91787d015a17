"""A study that is killed or interrupted goes on, loses nothing, and ends as one never stopped."""

import os
import random
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from study.studies import (
    ended,
    marks,
    results,
    run,
    run_here,
    small_study,
    started,
    times,
    wait_for_the_end_of,
    wait_until,
)

from mmlite.study.jobs import SHARED_ROWS

pytestmark = pytest.mark.slow


def test_killed_at_any_point_it_does_the_rest_and_ends_as_one_never_stopped(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study = small_study(tmp_path)
    draw = random.Random(0)
    jobs = len(marks(small[1]))
    before: Mapping[str, int] = {}
    shared: list[Path] = []
    for number in sorted(draw.sample(range(1, jobs - 1), 2)):
        with started(study, out) as process:
            wait_until(process, lambda n=number: len(marks(out)) >= n)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            wait_for_the_end_of(process.pid)
        shared += (out / SHARED_ROWS).glob("*/*.jsonl")
        assert not (out / "report.html").exists()
        assert before.items() <= marks(out).items(), "what was done was done again"
        before = marks(out)
    run(study, out)
    assert before.items() <= marks(out).items(), "what was done was done again"
    assert results(out) == results(small[1])
    assert shared, "workers leave rows for each other"
    assert not (out / SHARED_ROWS).exists(), "which are gone at the end"


def test_killed_in_the_middle_of_a_run_it_goes_on_from_its_checkpoint(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    def every_five_steps(study: dict) -> None:
        study["sizes"] = ["a"]
        saver = {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {"save_last": True, "every_n_train_steps": 5, "save_top_k": 0},
        }
        study["runs"]["language"]["set"]["trainer.callbacks+"] = [saver]
        study["runs"]["language"]["set"]["trainer.max_steps"] = 150

    study = small_study(tmp_path, every_five_steps)
    out = tmp_path / "out"
    run_here(study, tmp_path / "whole")
    language = out / "seed-0" / "language-a"
    with started(study, out, "--workers", "1") as process:
        wait_until(process, lambda: list(language.rglob("last.ckpt")))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for_the_end_of(process.pid)
    assert not (language / "done.json").exists()
    born = (language / "started.json").stat().st_mtime_ns
    run_here(study, out)
    assert (language / "started.json").stat().st_mtime_ns == born, "it began again from nothing"
    assert results(out) == results(tmp_path / "whole")


def test_a_second_study_is_kept_out_of_a_folder_and_ctrl_c_says_how_the_first_goes_on(
    tmp_path: Path,
) -> None:
    study, out = small_study(tmp_path), tmp_path / "out"
    with started(study, out) as first:
        wait_until(first, lambda: (out / ".lock").exists() and (out / "seed-0").exists())
        written = times(out)
        with started(study, out) as second:
            status, told = ended(second)
        assert first.poll() is None
        assert "reading its files" not in told, "it is refused before anything is loaded"
        assert status != 0
        assert "another mmlite study is writing to" in told
        assert written.keys() <= times(out).keys()
        wait_until(first, lambda: marks(out))
        os.killpg(first.pid, signal.SIGINT)
        status, told = ended(first)
        wait_for_the_end_of(first.pid)
    assert status == 130
    assert "Traceback" not in told
    assert "same command" in told
    assert not (out / "report.html").exists()
