"""Recording a run: what each batch was, and when each optimizer step ended."""

import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.flops import Work
from benchmarks.training.kernels import KernelTimes
from benchmarks.training.measured import Measured, Setup
from mmlite.batch import IGNORE_INDEX

LEAST_STEPS = 2
"""Steps that count, at least, however long they take."""


class Recorder:
    """Notes batches and steps of a run, and holds it up as little as it can.

    What a batch was is kept as tensors and counted when all is over: asking a device for a number
    would hold up what it was given to do. A GPU notes by itself when it has done a step, while it
    is given the next one.

    Args:
        setup: Of the run.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._batches: list[tuple[Tensor, Tensor, Tensor, Tensor | None, int]] = []
        self._steps: list[int] = []
        self._marks: list[torch.cuda.Event] = []
        self._measured = Measured(warmup=setup.machine.warmup)
        self._warm: float | None = None
        self._kernels: KernelTimes | None = None

    @property
    def _is_gpu(self) -> bool:
        return self.setup.machine.device == "cuda"

    def start(self) -> None:
        """Begin; what memory was needed before does not count, where that can be told apart."""
        if self._is_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._mark()

    def add(
        self,
        total: Tensor,
        labels: Tensor,
        mask: Tensor,
        *,
        positions: Tensor | None = None,
        tiles: int = 0,
    ) -> None:
        """Note a batch.

        Args:
            total: Its summed loss.
            labels: Of its tokens.
            mask: True, or above 0, where there is a token.
            positions: Of its tokens, where several examples share a row.
            tiles: Of its images.
        """
        self._batches.append((total.detach(), labels, mask, positions, tiles))

    def end_step(self) -> bool:
        """Note the end of an optimizer step; return whether that was enough."""
        measured, machine = self._measured, self.setup.machine
        if self._kernels is not None:
            measured.kernels = self._kernels.stop()
            return True
        if self._is_gpu:
            self._mark()
            self._marks[-2].synchronize()  # one step ahead of the GPU, and no more
        now = time.perf_counter()
        measured.ends.append(now)
        measured.busy.append(time.process_time())
        self._steps.append(len(self._batches))
        is_over = self._is_over(now)
        if machine.profile and (is_over or len(self._steps) == self.setup.steps - 1):
            measured.peak_mb = peak_mb(machine.device)
            self._kernels = KernelTimes(machine.device)
            return False
        return is_over

    def _mark(self) -> None:
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        self._marks.append(mark)

    def _is_over(self, now: float) -> bool:
        machine, steps = self.setup.machine, len(self._steps)
        if self._warm is None:
            took = now - self._measured.ends[0]
            is_warm = steps >= machine.warmup and took >= machine.warmup_seconds
            if is_warm:
                self._warm, self._measured.warmup = now, steps
            return False
        is_enough = steps - self._measured.warmup >= LEAST_STEPS
        return machine.seconds is not None and is_enough and now - self._warm >= machine.seconds

    def measured(self) -> Measured:
        """Return what was measured, once the run is over."""
        measured, start = self._measured, 0
        measured.peak_mb = measured.peak_mb or peak_mb(self.setup.machine.device)
        measured.warmup = min(measured.warmup, len(measured.ends) - 1)  # a step has to count
        if self._is_gpu:
            torch.cuda.synchronize()
            begin, *ends = self._marks
            measured.ends = [begin.elapsed_time(end) / 1000 for end in ends]
        for end in self._steps:
            step = self._batches[start:end]
            works = [_work(*batch[1:]) for batch in step]
            supervised = sum(work.head_rows for work in works)
            measured.losses.append(sum(float(batch[0]) for batch in step) / max(supervised, 1))
            measured.supervised.append(supervised)
            measured.tokens.append(sum(sum(work.lengths) for work in works))
            measured.padded.append(sum(batch[2].numel() for batch in step))
            measured.flops.append(sum(self.setup.flops(work) for work in works))
            start = end
        if measured.kernels is not None:
            works = [_work(*batch[1:]) for batch in self._batches[start:]]
            measured.kernels |= {
                "tokens": sum(sum(work.lengths) for work in works),
                "supervised": sum(work.head_rows for work in works),
                "tiles": sum(work.tiles for work in works),
            }
        return measured


def _work(labels: Tensor, mask: Tensor, positions: Tensor | None, tiles: int) -> Work:
    """Count what a batch asks for."""
    return Work(
        tiles=tiles,
        lengths=sequence_lengths(mask, positions),
        head_rows=int((labels[:, 1:] != IGNORE_INDEX).sum()),
    )


def sequence_lengths(mask: Tensor, positions: Tensor | None) -> tuple[int, ...]:
    """Return the tokens of each example; where they share rows, positions tell where each ends."""
    there = mask.bool().cpu()
    if positions is None:
        return tuple(there.sum(1).tolist())
    places = positions.cpu()
    is_last = torch.ones_like(there)
    is_last[:, :-1] = places[:, 1:] == 0
    return tuple((places[is_last & there] + 1).tolist())


def peak_mb(device: str) -> float:
    """Return the most memory there was at a time, in MB: of tensors, or of the process on a CPU.

    Of a process Linux tells it. Not `getrusage`: a child starts with the peak of the process that
    started it.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
