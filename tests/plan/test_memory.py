"""The memory that is planned is the memory that training takes, within a tenth."""

import json
import os
import subprocess
import sys
from pathlib import Path
from string import Template

import pytest

from mmlite.cli import main

ROOT = Path(__file__).resolve().parents[2]
RUN = """\
model:
  init_args:
    language:
      class_path: mmlite.models.NewLanguageModel
      init_args:
        config: {hidden_size: $hidden, num_hidden_layers: 6, num_attention_heads: 8,
          num_key_value_heads: 4, head_dim: 64, intermediate_size: $inner}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.001}}
data:
  init_args:
    budget: {batch_size: $batch, window_batches: 1}
trainer:
  max_steps: 2
  callbacks: []
  logger: false
  limit_val_batches: 0
  enable_checkpointing: false
  enable_progress_bar: false
"""


SHARDED = """\
trainer:
  accelerator: cpu
  devices: 2
  strategy:
    class_path: lightning.pytorch.strategies.ModelParallelStrategy
    init_args: {data_parallel_size: 2, tensor_parallel_size: 1, process_group_backend: gloo}
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux tells it")
@pytest.mark.parametrize(
    ("processes", "hidden", "inner", "batch"),
    [
        ("", 512, 2048, 16),  # most of it are activations
        (SHARDED, 1024, 4096, 4),  # most of it is what shards divide
    ],
)
def test_planned_memory_is_measured_memory(processes, hidden, inner, batch, tmp_path, capfd):
    run = Template(RUN).substitute(hidden=hidden, inner=inner, batch=batch)
    (tmp_path / "run.yaml").write_text(run)
    (tmp_path / "processes.yaml").write_text(processes or "{}")
    experiments = ROOT / "experiments"
    options = [
        *("-c", str(experiments / "base.yaml")),
        *("-c", str(experiments / "micro" / "language.yaml")),
        *("-c", str(tmp_path / "run.yaml"), "-c", str(tmp_path / "processes.yaml")),
        *("--run", str(tmp_path / "run")),
    ]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("measure_run.py")), *options],
        cwd=ROOT,
        # What is freed is given back, or the C library's gaps are measured too.
        env={**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    measured = max(json.loads(line)["rise"] for line in told)
    assert main(["plan", *options, "--sample-batches", "2", "--json"]) == 0
    memory = json.loads(capfd.readouterr().out)["memory"]
    assert measured > 500e6, "the model is what takes the memory, not the program"
    assert memory["total"] == pytest.approx(measured, rel=0.1)
