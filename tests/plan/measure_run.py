"""Train a run in this process and write how far its memory rose above what was there before.

python measure_run.py OPTIONS_OF_A_RUN
"""

import json
import sys
from pathlib import Path

from mmlite.training.command import MMLiteCLI


def memory(field: str) -> int:
    """Return bytes of this process that the kernel tells: VmRSS now, VmHWM at the highest."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(field)


if __name__ == "__main__":
    cli = MMLiteCLI(sys.argv[1:], run=False)
    next(iter(cli.datamodule.train_dataloader()))  # whatever data loads once
    before = memory("VmRSS")
    cli.trainer.fit(cli.model, cli.datamodule)
    sys.stdout.write(json.dumps({"rise": memory("VmHWM") - before}) + "\n")
