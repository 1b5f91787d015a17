"""A run that is killed at any moment goes on with the very next batch and loss."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kill_run import KILLS, STEPS
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("kill_run.py")


def journal(run: Path) -> list[tuple[int, str, float]]:
    lines = (run / "journal.jsonl").read_text().splitlines()
    return [tuple(json.loads(line)) for line in lines]


@pytest.mark.slow
def test_a_run_killed_twice_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """Streamed shards, packing, a mixture, two workers and a broken image all at once."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    whole, victim = journal(tmp_path / "whole"), journal(tmp_path / "victim")
    assert [step for step, _, _ in whole] == list(range(1, STEPS + 1))
    assert len({batch for _, batch, _ in whole}) == STEPS  # no two batches alike, over epochs
    known = {step: (batch, loss) for step, batch, loss in whole}
    assert {step: (batch, loss) for step, batch, loss in victim} == known
    assert all(known[step] == (batch, loss) for step, batch, loss in victim)
    started = (tmp_path / "victim" / "starts.txt").read_text().splitlines()
    assert len(started) == 1 + len(KILLS)
    assert [name == "None" for name in started] == [True, False, False]  # resumed, not run anew
    ends = [load_file(tmp_path / run / "weights.safetensors") for run in ("whole", "victim")]
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name
    for run in ("whole", "victim"):
        (bad,) = (tmp_path / run / "bad_rows.jsonl").read_text().splitlines()
        assert json.loads(bad)["problem"] == "unreadable_image"
    ledgers = [json.loads((tmp_path / r / "mixture.json").read_text()) for r in ("whole", "victim")]
    assert ledgers[0] == ledgers[1]
