"""Bad rows: stop at one, or leave it out with a count, a list and a cap; decided by kind."""

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_log = logging.getLogger(__name__)

BAD_ROWS_FILE = "bad_rows.jsonl"
"""Name of the list in a run's folder; the second process writes `bad_rows.1.jsonl`, and so on.

A list of its own has what is asked of a run later: `bad_rows.predict.jsonl`.
"""

Action = Literal["fail", "skip"]


@dataclass(frozen=True)
class BadRows:
    """What to do about each kind of bad row: `fail` stops the run, `skip` leaves the row out.

    A row is used whole or not at all: neither texts nor images are ever cut.

    Attributes:
        unreadable_image: An image file is missing, broken, or no image.
        oversized_image: An image has more pixels than may be opened.
        wrong_placeholders: Other than one `<image>` for each image, or one where none may be.
        wrong_turns: User and assistant do not speak in turn, or the assistant speaks first.
        empty_answer: A turn that is to be learnt says nothing.
        too_long: More tokens than `processor.max_tokens`.
        malformed: Anything else, such as broken JSON or a missing field.
        max_skipped: Rows that may be left out, of all kinds together, before the run stops; counted
            by each process.
    """

    unreadable_image: Action = "fail"
    oversized_image: Action = "fail"
    wrong_placeholders: Action = "fail"
    wrong_turns: Action = "fail"
    empty_answer: Action = "fail"
    too_long: Action = "fail"
    malformed: Action = "fail"
    max_skipped: int = 100

    def __post_init__(self) -> None:
        if self.max_skipped < 0:
            raise ValueError(
                f"data.bad_rows.max_skipped: got {self.max_skipped}, allowed: 0 or more; 0 lets "
                "no row be left out"
            )

    @property
    def may_skip(self) -> bool:
        """Whether any row may be left out."""
        return self.max_skipped > 0 and any(
            value == "skip" for name, value in vars(self).items() if name != "max_skipped"
        )


class BadRowLog:
    """Counts and lists the rows that were left out, each once, however often it is read.

    Args:
        policy: What may be left out.
    """

    def __init__(self, policy: BadRows) -> None:
        self.policy = policy
        self.path: Path | None = None
        self._problems: dict[str, str] = {}
        self._is_resumed = False

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many rows of each kind were left out."""
        return Counter(self._problems.values())

    def write_to(self, folder: Path, rank: int, command: str = "fit") -> None:
        """List rows in a run's folder from now on; those that are known so far at once.

        A checkpoint holds what the first process left out. Any other goes on from its own list.

        Args:
            folder: Of the run.
            rank: Number of this process.
            command: What reads the rows; `fit`, `validate`, `test` or `predict`.
        """
        name = Path(BAD_ROWS_FILE)
        of = [command] if command != "fit" else []
        of += [str(rank)] if rank else []
        self.path = folder / ".".join([name.stem, *of, name.suffix[1:]])
        if rank and self._is_resumed and self.path.exists():
            self._problems = {**_listed(self.path), **self._problems}
        lines = "".join(_line(problem, message) for message, problem in self._problems.items())
        if lines or self.path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            part = self.path.with_name(f".{self.path.name}.part")
            part.write_text(lines, encoding="utf-8")
            os.replace(part, self.path)

    def note(self, error: ValueError) -> None:
        """Leave a row out, or stop.

        Args:
            error: What is wrong with it; its message names the row.

        Raises:
            ValueError: If rows of this kind stop the run, or too many were left out.
        """
        # Half a character, as in the name of a file, is escaped: no list or log can hold it.
        message = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
        problem = getattr(error, "problem", "malformed")
        if getattr(self.policy, problem) == "fail":
            raise ValueError(
                f"{message} (data.bad_rows.{problem} is fail; repair the row, or set it to skip)"
            ) from error
        if message in self._problems:
            return
        if len(self) >= self.policy.max_skipped:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
            raise ValueError(
                f"{message} (data.bad_rows.max_skipped allows {self.policy.max_skipped}, and so "
                f"many were left out before: {counts}; repair the rows, or raise it)"
            ) from error
        self._problems[message] = problem
        _log.warning("Left out bad row %d (%s): %s", len(self), problem, message)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(problem, message))

    def state_dict(self) -> list[list[str]]:
        """Return what was left out, for a checkpoint."""
        return [[problem, message] for message, problem in self._problems.items()]

    def load_state_dict(self, state: Sequence[Sequence[str]], rank: int = 0) -> None:
        """Go on from what was left out when a checkpoint was written.

        Args:
            state: Of the process that wrote the checkpoint, the first.
            rank: Number of this process.
        """
        self._is_resumed = True
        self._problems = {} if rank else {message: problem for problem, message in state}


def _listed(path: Path) -> dict[str, str]:
    """Return the kinds of the rows of a list by message, but for a line that a kill left torn."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            found[row["message"]] = row["problem"]
    return found


def _line(problem: str, message: str) -> str:
    row: dict[str, Any] = {"problem": problem, "message": message}
    return json.dumps(row, ensure_ascii=False) + "\n"
