"""How far a study is: bars on a terminal, a plain line per finished job elsewhere."""

import sys
import time
from collections.abc import Sequence
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
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.total = len(jobs)
        self.done = len(jobs) - len(waiting)
        self.whole = self.progress.add_task("study", total=self.total, completed=self.done)
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, float] = {}

    def __enter__(self) -> "View":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def start(self, name: str) -> None:
        """Show a job."""
        self.tasks[name] = self.progress.add_task(f"  {name}", total=None)
        self.started[name] = time.monotonic()

    def tell(self, reports: "Queue[JobProgress]") -> None:
        """Show how far jobs are."""
        while True:
            try:
                name, done, total = reports.get_nowait()
            except Empty:
                return
            if name in self.tasks:
                self.progress.update(self.tasks[name], completed=done, total=total)

    def finish(self, name: str) -> None:
        """Take a job off the view."""
        self.done += 1
        self.progress.remove_task(self.tasks.pop(name))
        self.progress.update(self.whole, completed=self.done)
        seconds = time.monotonic() - self.started[name]
        line = f"[{self.done}/{self.total}] {name}  {seconds:.0f} s"
        self.console.print(line, markup=False, highlight=False)
