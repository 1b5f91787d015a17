"""`mmlite validate`, `test` and `predict` measure what a run trained, or say what is missing."""

import json
from pathlib import Path

import pytest
from cli.commands import BASE, EXPERIMENTS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmlite.cli.main import main

FILES = [
    *("-c", BASE, "-c", str(EXPERIMENTS / "micro" / "language.yaml")),
    *("-c", str(EXPERIMENTS / "micro" / "sizes" / "a.yaml")),
]
FEW = [
    *("--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"),
    *("--trainer.limit_predict_batches", "1", "--data.init_args.seed", "0"),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of a few steps, without checkpoints."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    steps = ["--trainer.max_steps", "4", "--trainer.val_check_interval", "4"]
    quick = ["--trainer.enable_checkpointing", "false"]
    assert main(["fit", *FILES, *FEW, *steps, *quick, "--run", str(folder)]) == 0
    return folder


def losses(folder: Path, key: str) -> list[float]:
    """Every value of a key in a run's event files, in the order of the files."""
    found = []
    for file in sorted((folder / "logs").glob("events*")):
        events = EventAccumulator(str(file)).Reload()
        if key in events.Tags()["scalars"]:
            found += [event.value for event in events.Scalars(key)]
    return found


def test_validate_measures_the_weights_that_the_run_ended_with(run: Path):
    assert main(["validate", *FILES, *FEW, "--run", str(run)]) == 0
    trained, again = losses(run, "val/loss")
    assert again == pytest.approx(trained, rel=1e-5)
    recorded = ["validate", "-c", str(run / "config.yaml"), *FEW, "--run", str(run)]
    assert main(recorded) == 0
    assert losses(run, "val/loss")[2] == pytest.approx(trained, rel=1e-5)


def test_test_and_predict_answer_the_test_split(run: Path):
    assert main(["test", *FILES, *FEW, "--run", str(run)]) == 0
    assert len(losses(run, "test/loss")) == 1
    assert main(["predict", *FILES, *FEW, "--run", str(run), "--seed_everything", "5"]) == 0
    (written,) = (run / "predictions").glob("*.jsonl")
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert lines
    assert all(line["question"] and line["gold"] for line in lines)
    assert {line["seed"] for line in lines} == {5}


def test_a_run_that_is_not_there_is_told(tmp_path: Path, caplog):
    with caplog.at_level("INFO"):
        assert main(["validate", *FILES, *FEW, "--run", str(tmp_path / "none")]) == 0
    assert "holds no finished run: these are the weights its model starts with" in caplog.text


@pytest.mark.parametrize(
    ("command", "split"), [("validate", "validation"), ("test", "test"), ("predict", "test")]
)
def test_an_empty_split_is_refused(command: str, split: str, refused):
    nothing = [f"--data.init_args.{split}", "[]"]
    told = refused([command, *FILES, *nothing], status=1)
    assert f"data.init_args.{split}: got no sources, allowed: a list of sources" in told
