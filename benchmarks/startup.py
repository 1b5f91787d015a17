"""Measure how long the help of every command takes, beside Python's own start.

Every command is started anew several times, as a shell does. `seconds` is what a person waits, the
fastest start counting; `processor` is the processor time of that start, which other programs on
the machine disturb less, and the ratio is of that.

With `--first-step`: how long the first training step of a local model of 0.6B takes, from the
command on, by what the time is spent on (`benchmarks/first_step.py`). It needs 7 GB of memory and
4 GB of disk.

Run: python -m benchmarks.startup [--times N] [--first-step [--dtype bfloat16] [--threads N]]
"""

import argparse
import resource
import subprocess
import sys
import time

from benchmarks.first_step import measure
from mmlite.cli.main import COMMANDS

PROGRAM = "import sys; from mmlite.cli import main; sys.exit(main())"


def processor_seconds() -> float:
    """Return the processor time of all programs that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fastest_start(arguments: list[str], times: int) -> tuple[float, float]:
    """Return the least seconds, and the least processor seconds, of several starts."""
    found: list[tuple[float, float]] = []
    for _ in range(times):
        before, started = processor_seconds(), time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        found.append((time.perf_counter() - started, processor_seconds() - before))
    return min(waited for waited, _ in found), min(used for _, used in found)


def write_first_step(phases: dict[str, tuple[float, float]]) -> None:
    """Write a table of phases and their sum."""
    sums = [sum(column) for column in zip(*phases.values(), strict=True)]
    sys.stdout.write(f"{'phase':24}{'seconds':>9}{'processor':>11}\n")
    for phase, (waited, used) in {**phases, "all": sums}.items():
        sys.stdout.write(f"{phase:24}{waited:>9.2f}{used:>11.2f}\n")


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--first-step", action="store_true")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.first_step:
        return write_first_step(measure(given.dtype, given.threads))
    times = given.times
    commands = {"python -c pass": ["-c", "pass"]}
    for command in (["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)):
        commands[f"mmlite {' '.join(command)}"] = ["-c", PROGRAM, *command]
    out, bare = sys.stdout, 0.0
    out.write(f"{'command':28}{'seconds':>9}{'processor':>11}{'ratio':>7}\n")
    for name, arguments in commands.items():
        waited, used = fastest_start(arguments, times)
        bare = bare or used
        out.write(f"{name:28}{waited:>9.3f}{used:>11.3f}{used / bare:>7.1f}\n")
        out.flush()


if __name__ == "__main__":
    main()
