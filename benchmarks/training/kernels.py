"""One step of a run, kernel by kernel: what a device did, and for how long."""

import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

LONGEST = 80
"""Kernels that are told by name."""

NAME_CHARACTERS = 110


class KernelTimes:
    """Records what a device does from now on.

    Args:
        device: `cpu` or `cuda`; of a CPU, PyTorch's operations are the kernels.
    """

    def __init__(self, device: str) -> None:
        self.is_gpu = device == "cuda"
        if self.is_gpu:
            torch.cuda.synchronize()
        kind = ProfilerActivity.CUDA if self.is_gpu else ProfilerActivity.CPU
        self._profile = profile(activities=[kind])
        self._profile.start()
        self._started = time.perf_counter()

    def stop(self) -> dict[str, Any]:
        """Return the wall-clock milliseconds, those in which kernels ran, and the longest.

        Returns:
            `wall_ms`, `kernels_ms` and `longest`: rows of name, milliseconds and calls.
        """
        if self.is_gpu:
            torch.cuda.synchronize()
        wall = time.perf_counter() - self._started
        self._profile.stop()
        rows = []
        for event in self._profile.key_averages():
            if self.is_gpu and not str(event.device_type).endswith("CUDA"):
                continue
            took = event.self_device_time_total if self.is_gpu else event.self_cpu_time_total
            rows.append((event.key[:NAME_CHARACTERS], took / 1e3, event.count))
        rows.sort(key=lambda row: -row[1])
        return {
            "wall_ms": 1e3 * wall,
            "kernels_ms": sum(row[1] for row in rows),
            "longest": rows[:LONGEST],
        }
