"""ExampleData: what every data module shares."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from lightning import LightningDataModule, Trainer

from data_modules.bad_rows import BadRowLog, BadRows
from data_modules.batching import BatchBudget, BatchPlan, Places, PlannedLoader, none_left
from data_modules.checks import check_answers, check_texts, check_turns
from data_modules.kept_rows import KeptRows, rows_kept_for
from data_modules.ledger import write_ledger
from data_modules.mixture import Mixed, Mixture
from data_modules.sources.base import Row, Source
from data_modules.sources.named import named_rows
from mmlite.parallel import rank, world_size
from mmlite.processor import Encoded, Processor
from mmlite.prompts import load_prompts
from mmlite.records import IMAGE_PLACEHOLDER, Example, Turn

T = TypeVar("T")


class ExampleData(LightningDataModule, ABC):
    """Sources to batches; a subclass says which turns are asked and learnt.

    An Example that comes with turns is used as it is; any other gets its turns from `ask`.

    Args:
        processor: Shared with the stage.
        train: Sources to train on, mixed.
        validation: Sources whose validation split measures progress.
        test: Sources whose test split is measured at the end, and answered by `predict`.
        budget: What fits into a batch.
        seed: Decides the order.
        num_workers: Processes that load images; 0 loads them in the training process.
        prompts: Prompt set, by built-in name or path.
        bad_rows: What to do about rows that cannot be used, by kind; stops at any, if not told.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        train: list[Mixed] | None = None,
        validation: list[Source] | None = None,
        test: list[Source] | None = None,
        budget: BatchBudget = BatchBudget(),  # noqa: B008
        seed: int = 0,
        num_workers: int = 0,
        prompts: str = "micro",
        bad_rows: BadRows = BadRows(),  # noqa: B008
    ) -> None:
        super().__init__()
        if num_workers and processor.features is not None and processor.features.folder is None:
            raise ValueError(
                f"data.num_workers: got {num_workers} with a feature cache in memory, allowed: 0; "
                "or give processor.features a folder"
            )
        self.processor = processor
        self.train = train or []
        self.validation = validation or []
        self.test = test or []
        self.budget = budget
        self.seed = seed
        self.num_workers = num_workers
        self.prompts = load_prompts(prompts)
        self.bad_rows = BadRowLog(bad_rows)
        self.kept: KeptRows | None = None
        """Training rows made before, of the very same data; None makes every row when it is due."""
        self._resumed: Mapping[str, Any] | None = None
        self._training: PlannedLoader | None = None

    @abstractmethod
    def ask(self, example: Example) -> tuple[str, str, str]:
        """Return the user's text (without images), the text to learn, and the task's name.

        Raises:
            ValueError: If the Example lacks what is to be learnt; naming source and row.
        """

    def compose(self, row: Row) -> Example:
        """Make one conversation of a row, each Example one question and answer."""
        first = row[0]
        if first.turns:
            return first
        turns: list[Turn] = []
        asked: set[str] = set()
        task = first.task
        for example in row:
            user, answer, task = self.ask(example)
            if user in asked:
                continue
            asked.add(user)
            images = IMAGE_PLACEHOLDER * len(first.images) if not turns else ""
            turns += [Turn("user", images + user), Turn("assistant", answer, trained=True)]
        return replace(first, turns=tuple(turns), task=task)

    def share_rows(self, key: str, folder: Path | None = None) -> None:
        """Share encoded training rows with runs that have the same data.

        Args:
            key: Hash of everything that decides the rows: sources, seed, prompts, processor.
            folder: Where processes leave their rows for each other; None shares them with runs of
                this process alone.
        """
        self.kept = rows_kept_for(key, folder)

    def train_dataloader(self) -> PlannedLoader:
        if not self.train:
            raise ValueError(
                "data.train: got no sources, allowed: a list with at least one item of source, "
                "weight, limit and replay"
            )
        mixture = Mixture(self.train, seed=self.seed)
        if self.trainer is not None:
            folder = Path(self.trainer.default_root_dir)
            self.bad_rows.write_to(folder, rank())
            if rank() == 0:
                write_ledger(folder, mixture)
        loader = self._loader(
            mixture.order,
            partial(self._training_row, mixture),
            size=len(mixture),
            shuffle_seed=self.seed,
            trainer=self.trainer,
        )
        if self._resumed is not None:
            loader.load_state_dict(self._resumed)
            self._resumed = None
        self._training = loader
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Return which batch is trained on next, and which rows were left out.

        Lightning keeps the loader's own state too, but drops it where `configure_optimizers` has
        asked for `estimated_stepping_batches` of a run that counts epochs.
        """
        loader = {} if self._training is None else self._training.state_dict()
        return {"training": loader, "bad_rows": self.bad_rows.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        self._resumed = state_dict["training"] or None
        if self._training is not None and self.trainer is not None:
            # A sharded model is restored after its optimizer was made, for which the stage may have
            # asked how many steps there are: that made the loader, and may have taken a batch.
            self.trainer.fit_loop._combined_loader = None
        self.bad_rows.load_state_dict(state_dict["bad_rows"], rank())

    def val_dataloader(self) -> PlannedLoader | list[Any]:
        return self._held_out(self.validation, "validation")

    def test_dataloader(self) -> PlannedLoader | list[Any]:
        return self._held_out(self.test, "test")

    def predict_dataloader(self) -> PlannedLoader | list[Any]:
        return self._held_out(self.test, "test")

    def held_out_examples(self, split: str) -> list[Example]:
        """Return all Examples of the validation or test split with turns, one question each."""
        sources = self.validation if split == "validation" else self.test
        examples = self._read_all(sources, split)
        composed = (self._usable(partial(self.compose, (example,))) for example in examples)
        return [example for example in composed if example is not None]

    def _held_out(self, sources: Sequence[Source], split: str) -> PlannedLoader | list[Any]:
        asked = None if self.trainer is None else self.trainer.state.fn
        command = "fit" if asked is None else asked.value
        if not sources:
            if command == "fit":
                return []
            raise ValueError(
                f"data.init_args.{split}: got no sources, allowed: a list of sources; give one in "
                f"a file after the run's, for there is nothing to {command}"
            )
        if self.trainer is not None and command != "fit":
            self.bad_rows.write_to(Path(self.trainer.default_root_dir), rank(), command)
        examples = self._read_all(sources, split)
        return self._loader(
            lambda epoch: examples,
            lambda example: self._encode(lambda: (example,), keep=True),
            size=len(examples),
            budget=replace(self.budget, pack_tokens=None),
        )

    def _read_all(self, sources: Sequence[Source], split: str) -> list[Example]:
        """Read the rows of a held-out split, without those that may be left out."""
        examples: list[Example] = []
        found = named_rows(sources, split)
        for named in found:
            for number in range(len(named)):
                examples += self._usable(partial(named.read, number)) or ()
        if not examples and (size := sum(map(len, found))):
            raise ValueError(none_left(size))
        return examples

    def _loader(
        self,
        places: Callable[[int], Places],
        encode: Callable[[Any], Encoded | None],
        *,
        size: int,
        budget: BatchBudget | None = None,
        shuffle_seed: int | None = None,
        trainer: Trainer | None = None,
    ) -> PlannedLoader:
        plan = BatchPlan(
            places,
            encode,
            size=size,
            budget=budget or self.budget,
            shuffle_seed=shuffle_seed,
            rank=rank(),
            processes=world_size(),
            may_drop=self.bad_rows.policy.may_skip,
        )
        return PlannedLoader(
            plan,
            self.processor.collate,
            num_workers=self.num_workers,
            pad_id=self.processor.pad_id,
            refuse=self.bad_rows.note,
            pin_memory=self._feeds_a_gpu,
            trainer=trainer,
        )

    @property
    def _feeds_a_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _training_row(self, mixture: Mixture, place: np.ndarray) -> Encoded | None:
        number = (int(place[0]), int(place[1]))
        row = None if self.kept is None else self.kept.get(number)
        if row is None:
            row = self._encode(lambda: mixture.row(number), keep=False)
            if row is not None and self.kept is not None:
                self.kept.put(number, row)
        return row

    def _encode(self, read: Callable[[], Row], *, keep: bool) -> Encoded | None:
        encoded = self._usable(lambda: self._encoded(read()))
        if encoded is None or keep or self.keep_examples:
            return encoded
        return replace(encoded, example=None)

    def _encoded(self, row: Row) -> Encoded:
        check_texts(row)
        check_answers(row)
        example = self.compose(row)
        check_turns(example)
        return self.processor.encode_example(example)

    def _usable(self, make: Callable[[], T]) -> T | None:
        """Return what is made of a row, or None where the row is bad and may be left out."""
        try:
            return make()
        except ValueError as error:
            self.bad_rows.note(error)
            return None

    keep_examples = False
    """Whether training batches carry their Examples; only stages that learn scenes need them."""
