"""A study that is run again does what is missing, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from study.studies import marks, results, run, run_here, small_study, times

pytestmark = pytest.mark.slow


def copied(small: tuple[Path, Path], folder: Path) -> Path:
    """A copy of the finished small study, with its times."""
    return Path(shutil.copytree(small[1], folder / "out"))


def test_a_finished_study_is_left_as_it_is(small: tuple[Path, Path]) -> None:
    study, out = small
    before = times(out)
    told = run(study, out)
    assert {k: v for k, v in times(out).items() if k != ".lock"} == {
        k: v for k, v in before.items() if k != ".lock"
    }
    assert f"{len(marks(out))} jobs, {len(marks(out))} done already" in told


def test_what_was_changed_or_lost_is_done_again_with_all_that_follows_from_it(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    out = copied(small, tmp_path)
    (out / "predictions" / "seed-0-symbolic.jsonl").unlink()
    ends = out / "predictions" / "seed-0-end_to_end-b.jsonl"
    ends.write_text("".join(ends.read_text().splitlines(keepends=True)[:-1]))
    before = marks(out)

    def longer(study: dict) -> None:
        study["runs"]["extraction"]["set"] = {"trainer.max_steps": 6}

    run_here(small_study(tmp_path, longer), out)
    changed = {name for name, time in marks(out).items() if time != before[name]}
    assert changed == {
        *("extraction-a", "extraction-b", "perceive-extract-a", "perceive-extract-b"),
        *("answer-reasoner-a", "answer-reasoner-b", "answer-symbolic", "answer-end_to_end-b"),
    }
    for lost in ("seed-0-symbolic.jsonl", ends.name):
        assert results(out)["predictions"][lost] == results(small[1])["predictions"][lost]


def test_fewer_sizes_set_the_others_aside(small: tuple[Path, Path], tmp_path: Path) -> None:
    out = copied(small, tmp_path)

    def smaller(study: dict) -> None:
        study["sizes"] = ["a"]

    run_here(small_study(tmp_path, smaller), out)
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert {row["reasoner_size"] for row in rows} <= {"a", "", None}
    assert not list((out / "predictions").glob("*-b.jsonl"))

    before = marks(out)
    run_here(small[0], out)
    assert results(out) == results(small[1])
    changed = {name for name, time in marks(out).items() if time != before[name]}
    assert not {name for name in changed if name.endswith("-b")}, "they were set aside, not lost"
