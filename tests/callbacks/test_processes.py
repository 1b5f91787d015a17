"""Two processes report together what one would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmlite.predictions import read_predictions

SCRIPT = Path(__file__).with_name("train_observed.py")
pytestmark = pytest.mark.slow

COUNTS = ("steps", "images", "sequences", "supervised_tokens", "all_tokens")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of the same run in one process and in two."""
    found = {}
    for number in (1, 2):
        found[number] = tmp_path_factory.mktemp(f"processes{number}")
        # torchrun keeps the port that it finds; Lightning lets it go before it opens it again.
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
        done = subprocess.run(
            [sys.executable, *launch, str(SCRIPT), str(number), str(found[number])],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    return found


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_totals_are_those_of_one_process(folders):
    one, two = (read(folders[number], "throughput.json") for number in (1, 2))
    assert {name: two[name] for name in COUNTS} == {name: one[name] for name in COUNTS}
    assert one["steps"] == 4


def test_the_curve_is_that_of_one_process(folders):
    one, two = (read(folders[number], "curve.json")["points"] for number in (1, 2))
    assert [step for step, _ in two] == [step for step, _ in one] == [1, 2, 3, 4]
    assert [loss for _, loss in two] == pytest.approx([loss for _, loss in one], rel=1e-4)


def test_categories_are_those_of_one_process(folders):
    one, two = (read(folders[number], "metrics.json") for number in (1, 2))
    names = {name for name in one if name.startswith("val/short_answer/")}
    assert len(names) == 12
    assert {name: two[name] for name in names} == pytest.approx({n: one[n] for n in names})


def test_predictions_are_those_of_one_process(folders):
    one, two = (
        read_predictions(folders[number] / "predictions" / "extraction_tuning.jsonl")
        for number in (1, 2)
    )
    assert sorted(p.id for p in two) == sorted(p.id for p in one) == [f"q{n}" for n in range(9)]


@pytest.mark.parametrize("number", [1, 2])
def test_a_resumed_run_reports_the_whole_run(folders, number):
    whole, resumed = folders[number], folders[number] / "resumed"
    for name in COUNTS:
        assert read(resumed, "throughput.json")[name] == read(whole, "throughput.json")[name]
    points = read(resumed, "curve.json")["points"]
    assert points == [
        [step, pytest.approx(loss)] for step, loss in read(whole, "curve.json")["points"]
    ]
