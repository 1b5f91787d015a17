"""The small study of these tests: changed copies of its file, real runs of it, what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml

from mmlite.cli.main import main
from mmlite.study import workers

ROOT = Path(__file__).resolve().parents[2]
SMALL = Path(__file__).parent / "small" / "study.yaml"
PROGRAM = "import sys; from mmlite.cli import main; sys.exit(main())"
SECONDS = 600
"""Longest that a study of these tests may take."""


def small_study(folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Write the small study, changed, into a folder; it names its files from there.

    The language runs are made long enough to be killed in the middle.
    """
    study = yaml.safe_load(SMALL.read_text())
    for run in study["runs"].values():
        run["config"] = [str(SMALL.parent / name) for name in run["config"]]
    study["runs"]["language"]["set"] = {"trainer.max_steps": 45}
    if change is not None:
        change(study)
    path = folder / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def _start(study: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "study", str(study), "--out", str(out), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # Tests that run in the background ignore Ctrl-C, and what they start inherits that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@contextmanager
def started(study: Path, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a study as a user does, in a process group of its own, of which nothing is left."""
    process = _start(study, out, *options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a study; return its exit status and what it told."""
    told = process.communicate(timeout=SECONDS)[1]
    return process.returncode, told


def run(study: Path, out: Path, *options: str) -> str:
    """Run a study to its end and return what it told."""
    with started(study, out, *options) as process:
        status, told = ended(process)
    assert status == 0, told[-4000:]
    return told


@contextmanager
def no_processes() -> Iterator[None]:
    """Let a thread of this process, which has loaded all libraries, do the work of workers."""

    @contextmanager
    def open_pool(size: int) -> Iterator[Any]:
        with ThreadPoolExecutor(1) as executor, mock.patch.dict(workers._inherited):
            reports: Any = Queue()
            workers._inherited["reports"] = reports
            yield SimpleNamespace(submit=executor.submit, reports=reports, size=1)

    with mock.patch("mmlite.study.pool.open_pool", open_pool):
        yield


def run_here(study: Path, out: Path) -> None:
    """Run a study to its end without starting a process."""
    with no_processes():
        assert main(["study", str(study), "--out", str(out)]) == 0


def wait_until(process: subprocess.Popen[str], seen: Callable[[], object]) -> None:
    """Wait until something is seen of a running study."""
    limit = time.monotonic() + SECONDS
    while not seen():
        if process.poll() is not None:
            raise AssertionError("the study ended first: " + ended(process)[1][-4000:])
        assert time.monotonic() < limit, "the study takes too long"
        time.sleep(0.002)


def is_empty(group: int) -> bool:
    """Whether no process of a study's group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for_the_end_of(group: int) -> None:
    """Wait until a study's workers have ended too; they notice on their own."""
    limit = time.monotonic() + 60
    while not is_empty(group):
        if time.monotonic() > limit:
            os.killpg(group, signal.SIGKILL)
            raise AssertionError("workers go on without their study")
        time.sleep(0.02)


def results(out: Path) -> dict[str, Any]:
    """Return what a study found, without times, folders and the command."""
    found = json.loads((out / "results.json").read_text())
    for key in ("created", "command"):
        del found["meta"][key]
    return {
        "predictions": {p.name: p.read_text() for p in (out / "predictions").glob("*.jsonl")},
        "results": found,
        "comparisons": json.loads((out / "comparisons.json").read_text()),
    }


def marks(out: Path) -> Mapping[str, int]:
    """Return when each job was done, in ns, by its name."""
    seed = out / "seed-0"
    return {path.parent.name: path.stat().st_mtime_ns for path in seed.glob("*/done.json")}


def times(out: Path) -> dict[str, int]:
    """Return when each file of a study was written, in ns."""
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
