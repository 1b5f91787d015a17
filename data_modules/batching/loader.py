"""Loading planned batches, in worker processes, and going on from any of them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from lightning import Trainer
from torch.utils.data import DataLoader, Dataset, Sampler

from data_modules.batching.plan import BatchPlan, Planned, Position
from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.errors import RowError
from mmlite.packing import pack, pad_to
from mmlite.processor import Encoded

Collate = Callable[[Sequence[Encoded]], Batch]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded batch, as it comes from a worker.

    Attributes:
        batch: Its rows, without those that could not be loaded.
        after: Where the plan goes on after this batch.
        problems: What was wrong with the rows that are missing.
        has_rows: Whether a row is left that counts.
    """

    batch: Batch
    after: Position
    problems: tuple[RowError, ...] = ()
    has_rows: bool = True

    def pin_memory(self) -> "Loaded":
        """Pin the batch; the DataLoader calls this where it was told to."""
        return replace(self, batch=self.batch.pin_memory())


class PlannedLoader:
    """Loads the batches of a plan, a new epoch each time it is iterated, and resumes at the next.

    It is no DataLoader but makes one for each epoch: Lightning rebuilds DataLoaders with samplers
    of its own, to predict and to distribute, and the plan does both already.

    A row whose images cannot be loaded is told to `refuse`, which raises or lets it be left out.
    Every process then still has as many batches as the others: one whose rows are all left out
    holds a row that counts for nothing. A whole epoch of none raises, and one of such rows where
    this is the only process.

    Args:
        plan: Yields encoded sequences.
        collate: Loads images and pads.
        num_workers: Processes that collate; 0 collates in this one.
        pad_id: Fills up packed rows.
        refuse: Called in this process with what was wrong with a row; raises by default.
        pin_memory: Whether batches are brought into memory from which a GPU copies by itself, so
            that the program goes on meanwhile.
        trainer: The one that trains on its batches, if one does.
    """

    def __init__(
        self,
        plan: BatchPlan,
        collate: Collate,
        *,
        num_workers: int = 0,
        pad_id: int = 0,
        refuse: Callable[[RowError], None] | None = None,
        pin_memory: bool = False,
        trainer: Trainer | None = None,
    ) -> None:
        self.plan = plan
        self.load = _Load(collate, pad_id, plan.budget.pad_multiple)
        self.num_workers = num_workers
        self.refuse = refuse or _raise
        self.pin_memory = pin_memory
        self.trainer = trainer
        self._next = Position()
        self._before = self._after = self._next
        self._is_in_flight = False

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        # Nothing runs before the first batch is asked for, so that an iterator that is thrown
        # away unused, as Lightning does when it resumes, takes no epoch.
        at, self._next = self._next, Position(self._next.epoch + 1)
        self._before = self._after = at
        self._is_in_flight = False
        loader = DataLoader(
            _AsPlanned(),
            batch_sampler=_FromPosition(self.plan, at),
            collate_fn=self.load,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
        )
        has_rows = False
        for loaded in loader:
            for problem in loaded.problems:
                self.refuse(problem)
            # Of several processes, another may have got the rows that could be loaded.
            has_rows = has_rows or loaded.has_rows or self.plan.processes > 1
            self._before, self._after = self._after, loaded.after
            self._is_in_flight = True
            yield loaded.batch
        self._is_in_flight = False
        if self.plan.may_drop and self.plan.size and at == Position(at.epoch) and not has_rows:
            raise ValueError(none_left(self.plan.size))

    def state_dict(self) -> dict[str, Any]:
        """Return which batch is trained on next.

        Contract: Lightning asks after a training step. Where it does not know how many batches
        there are, it has by then taken one ahead, and loses it when the run is killed. Where it
        takes fewer than there are, another epoch follows the last of them.
        """
        if self._is_in_flight and self.trainer is not None and self.trainer.is_last_batch:
            return self._next.to_json()
        position = self._before if self._is_in_flight and self._is_taken_ahead() else self._after
        return position.to_json()

    def _is_taken_ahead(self) -> bool:
        if self.trainer is not None:
            return math.isinf(self.trainer.num_training_batches)
        try:
            len(self)
        except TypeError:
            return True
        return False

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self._next = self._before = self._after = Position.from_json(state)
        self._is_in_flight = False


def none_left(size: int) -> str:
    """Return what to say where so many rows were read and each was left out."""
    return (
        f"data: got {size} rows, all of which were left out as bad ones, allowed: at least one to "
        "learn from; what was wrong with them stands above, and in the run's bad_rows.jsonl"
    )


class _Load:
    """Collates a planned batch; a class, so that worker processes get it whole."""

    def __init__(self, collate: Collate, pad_id: int, pad_multiple: int = 1) -> None:
        self.collate = collate
        self.pad_id = pad_id
        self.pad_multiple = pad_multiple

    def __call__(self, items: Sequence[Planned]) -> Loaded:
        (planned,) = items
        try:
            return Loaded(self._batch(planned.rows, planned.sizes), planned.after)
        except ValueError:
            good, problems = self._apart(planned.rows)
            if not problems:
                raise  # the rows fail only together, which is no row's fault
        sizes = planned.sizes
        rows = [row for row, is_good in zip(planned.rows, good, strict=True) if is_good]
        if sizes is not None:
            ends = accumulate(sizes, initial=0)
            kept = (sum(good[start:end]) for start, end in pairwise(ends))
            sizes = tuple(size for size in kept if size) or (1,)
        batch = self._batch(rows or [_uncounted(planned.rows[0])], sizes)
        return Loaded(batch, planned.after, tuple(problems), has_rows=bool(rows))

    def _batch(self, rows: Sequence[Encoded], sizes: Sequence[int] | None) -> Batch:
        batch = self.collate(rows)
        if sizes is not None:
            batch = pack(batch, sizes, pad_id=self.pad_id)
        return pad_to(batch, self.pad_multiple, pad_id=self.pad_id)

    def _apart(self, rows: Sequence[Encoded]) -> tuple[list[bool], list[RowError]]:
        """Load rows one by one; return which of them can be, and what is wrong with the others."""
        good: list[bool] = []
        problems: list[RowError] = []
        for row in rows:
            try:
                self.collate([row])
                good.append(True)
            except ValueError as error:
                good.append(False)
                problems.append(error if isinstance(error, RowError) else RowError(str(error)))
        return good, problems


def _uncounted(row: Encoded) -> Encoded:
    """Return a row of text that counts for nothing: the end of one whose images are lost.

    A conversation ends with an assistant's turn, never with an image.
    """
    end = row.input_ids[-1:] * 2
    return Encoded(input_ids=end, labels=(IGNORE_INDEX, IGNORE_INDEX), images=(), name=row.name)


def _raise(error: RowError) -> None:
    raise error


class _AsPlanned(Dataset[Planned]):
    """The plan's batches are the data: a worker only loads them."""

    def __getitem__(self, index: Any) -> Planned:
        return index


class _FromPosition(Sampler[list[Planned]]):
    def __init__(self, plan: BatchPlan, at: Position) -> None:
        self.plan = plan
        self.at = at

    def __iter__(self) -> Iterator[list[Planned]]:
        return ([planned] for planned in self.plan.planned(self.at))
