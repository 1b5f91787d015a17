"""The program of `benchmarks.gpu`: arms, one after the other, until time is out."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.training.gpu_arms import (
    DEVICE_FILE,
    SIZES,
    Arm,
    Attempt,
    Limits,
    attempts_of,
    run_arm,
    setup_of,
    tell_device,
    write_rows,
    write_weights,
)
from benchmarks.training.isolated import LOG_FILE, OUT_OF_MEMORY, OUT_OF_TIME, run_apart
from benchmarks.training.lines import Line, failed_line, measured_line
from benchmarks.training.measured import Machine, Measured

LEAST_SECONDS = 15.0
"""No arm begins when less is left."""

MOST_SECONDS = 110.0
"""An arm that takes longer is ended, so that one that hangs leaves time for the others."""

DEVICE_SECONDS = 90.0
LOG_CHARACTERS = 2000

NO_DEVICE = ("no NVIDIA driver", "not compiled with CUDA")
"""What PyTorch says where there is nothing to look for. Where a library has begun to use CUDA in
this process, it fails in a forked one with various words, and a spawned one helps."""


class Program:
    """Runs arms, one after the other, until they are done or time is out.

    Args:
        folder: Holds rows, weights, and a folder of each arm.
        limits: How much there is of what.
        machine: Where arms run.
        peak: Its peak rate in FLOP/s, if it is known.
        deadline: On the clock of `time.monotonic`.
        method: How processes start.
        profiled: Stages of whose arms a step more is recorded kernel by kernel.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        machine: Machine,
        *,
        peak: float | None,
        deadline: float,
        method: str,
        profiled: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.machine = machine
        self.peak = peak
        self.deadline = deadline
        self.method = method
        self.profiled = profiled

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()

    def run(self, arm: Arm) -> Line:
        """Run an arm; what goes wrong is told in its line."""
        line = failed_line(arm, OUT_OF_TIME)
        for attempt in attempts_of(arm, self.limits):
            if self.left < LEAST_SECONDS:
                return line
            failure = self._prepare(arm)
            line = self._measure(arm, attempt) if failure is None else failed_line(arm, failure)
            if line.note != OUT_OF_MEMORY:
                return line
        return line

    def _prepare(self, arm: Arm) -> str | None:
        """Write the rows of a stage and the weights of a size, once."""
        if not (self.folder / "rows" / arm.stage).exists():
            write_rows(self.folder, arm.stage, SIZES[arm.size], self.limits)
        if (self.folder / "weights" / arm.size).exists():
            return None
        given = (self.folder, arm.size, self.machine.device)
        return self._apart(
            write_weights, *given, out=self.folder / "arms" / f"weights of {arm.size}"
        )

    def _measure(self, arm: Arm, attempt: Attempt) -> Line:
        machine = replace(self.machine, profile=arm.stage in self.profiled)
        setup = setup_of(arm, self.limits, machine, attempt)
        name = f"{arm}, {attempt}".rstrip(", ")
        out = self.folder / "arms" / name.replace("/", " of ")
        failure = self._apart(run_arm, arm, setup, self.limits, self.folder, out, out=out)
        if failure is not None:
            return failed_line(arm, failure)
        return measured_line(arm, Measured.read(out), note=str(attempt), peak=self.peak)

    def _apart(self, function: Callable[..., None], *arguments: Any, out: Path) -> str | None:
        """Run a function in a process of its own, and tell the terminal."""
        started, seconds = time.monotonic(), min(self.left, MOST_SECONDS)
        failure = run_apart(function, *arguments, folder=out, seconds=seconds, method=self.method)
        took = time.monotonic() - started
        told = f"{out.name}: {failure or 'done'} ({took:.0f} s, {self.left:.0f} s left)\n"
        if failure is not None:
            told = (out / LOG_FILE).read_text()[-LOG_CHARACTERS:] + told
        sys.stderr.write(told)
        return failure


def find_device(folder: Path) -> tuple[dict[str, Any], str]:
    """Return what the GPU is, and how processes that use it have to start.

    Raises:
        ValueError: If there is none.
    """
    for method in ("fork", "spawn"):
        out = folder / method
        failure = run_apart(tell_device, out, folder=out, seconds=DEVICE_SECONDS, method=method)
        if failure is None:
            return json.loads((out / DEVICE_FILE).read_text()), method
        if any(words in failure for words in NO_DEVICE):
            break
    raise ValueError(
        f"device: got none ({failure}), allowed: one CUDA GPU; on a machine without, --trial runs "
        "every arm with tiny models on the CPU"
    )
