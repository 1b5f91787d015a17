"""How far a study is: bars on a terminal, a plain line per finished job elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.queues import Queue
from queue import Empty

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mmlite.study.jobs import Job
from mmlite.study.workers import Progress as JobProgress

SHARES: Mapping[str, int] = {"train": 12, "perceive": 1, "answer": 1}
"""How long kinds of jobs take beside each other, roughly; the time that is left goes by it."""


class View:
    """One overall progress view.

    Args:
        jobs: All jobs of the study.
        waiting: Those that are not done yet.
    """

    def __init__(self, jobs: Sequence[Job], waiting: Sequence[Job]) -> None:
        self.console = Console(file=sys.stderr)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[far]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.total = len(jobs)
        self.done = len(jobs) - len(waiting)
        self.shares = {job.name: SHARES[job.action] for job in waiting}
        self.finished = 0
        self.whole = self.progress.add_task(
            "study", total=sum(self.shares.values()), far=self._jobs_done()
        )
        self.tasks: dict[str, TaskID] = {}
        self.parts: dict[str, float] = {}
        self.started: dict[str, float] = {}

    def __enter__(self) -> "View":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def start(self, name: str) -> None:
        """Show a job, or another thing that takes a while."""
        self.tasks[name] = self.progress.add_task(f"  {name}", total=None, far="")
        self.started[name] = time.monotonic()

    def tell(self, reports: "Queue[JobProgress]") -> None:
        """Show how far jobs are."""
        while True:
            try:
                name, done, total = reports.get_nowait()
            except Empty:
                return
            if name in self.tasks and total > 0:
                self.parts[name] = done / total
                far = f"{done}/{total}"
                self.progress.update(self.tasks[name], completed=done, total=total, far=far)
                self._show_whole()

    def finish(self, name: str) -> None:
        """Take a job off the view."""
        self.done += 1
        self.finished += self.shares[name]
        self.parts.pop(name, None)
        self.progress.remove_task(self.tasks.pop(name))
        self._show_whole()
        seconds = time.monotonic() - self.started[name]
        line = f"[{self.done}/{self.total}] {name}  {seconds:.0f} s"
        self.console.print(line, markup=False, highlight=False)

    def _show_whole(self) -> None:
        running = sum(self.shares[name] * part for name, part in self.parts.items())
        done = self.finished + running
        self.progress.update(self.whole, completed=done, far=self._jobs_done())

    def _jobs_done(self) -> str:
        return f"{self.done}/{self.total} jobs"
