"""One of two processes meets a broken image: each says one sentence and nobody waits for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import png

from mmlite import parallel
from mmlite.parallel import lost_a_process

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from mmlite.cli import main; sys.exit(main())"
DATA = """\
data:
  class_path: data_modules.QAData
  init_args:
    train:
      - source:
          class_path: data_modules.sources.LLaVA
          init_args: {image_root: ., train: rows.json}
    validation: []
    budget: {batch_size: 2}
trainer: {max_steps: 4, limit_val_batches: 0, enable_checkpointing: false}
"""


def rows(folder: Path) -> None:
    """Sixteen rows; the image of one is cut off, which only the second process reads."""
    records = []
    for number in range(16):
        content = png(number, size=32)
        name = f"{number}.png"
        (folder / name).write_bytes(content[: len(content) // 2] if number == 5 else content)
        talk = [{"from": "human", "value": "what color ?"}, {"from": "gpt", "value": "red ."}]
        records.append({"id": str(number), "image": name, "conversations": talk})
    (folder / "rows.json").write_text(json.dumps(records))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_broken_image_on_one_process_is_told_in_one_sentence(tmp_path):
    rows(tmp_path)
    (tmp_path / "data.yaml").write_text(DATA)
    micro = ROOT / "experiments" / "micro"
    files = [ROOT / "experiments" / "base.yaml", micro / "instruction.yaml"]
    files += [micro / "sizes" / "a.yaml", tmp_path / "data.yaml"]
    devices = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    more = ["--run", "run", "--model.init_args.init_from", "null", *devices]
    given = [part for file in files for part in ("-c", str(file))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "fit", *given, *more],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    told = [line for line in done.stderr.splitlines() if line.startswith("mmlite: ")]
    assert sum("5.png: cannot be read" in line for line in told) == 1, done.stderr[-4000:]
    assert all("5.png" in line or "another process of this run has" in line for line in told)


def test_which_errors_come_of_a_process_that_stopped(monkeypatch):
    lost = [
        RuntimeError("[/pytorch/gloo/transport/tcp/pair.cc:561] Connection closed by peer"),
        torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1"),
        RuntimeError("ProcessGroupNCCL watchdog timed out"),
    ]
    own = [
        *(RuntimeError("CUDA out of memory"), RuntimeError("shape mismatch"), ValueError("gloo/")),
        RuntimeError("data server: connection reset by peer"),
    ]
    assert not any(map(lost_a_process, lost))
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    assert all(map(lost_a_process, lost))
    assert not any(map(lost_a_process, own))
