"""`mmlite fit`, `validate`, `test` and `predict`: LightningCLI over stages and data modules."""

import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning import LightningDataModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.errors import writing
from mmlite.parallel import leave_processes, lost_a_process
from mmlite.processor import Processor
from mmlite.stages import Stage
from mmlite.stages.weights import WEIGHTS_FILE
from mmlite.training.board import tensorboard_command
from mmlite.training.checkpoint import WholeSteps
from mmlite.training.checks import (
    check_checkpoint,
    check_files,
    check_mappings,
    check_seed,
    check_trainer,
    problem,
)
from mmlite.training.defaults import fill_in
from mmlite.training.noise import quieten
from mmlite.training.record import ConfigRecord
from mmlite.training.stopping import last_checkpoint, only_one, terminable

COMMANDS = ("fit", "validate", "test", "predict")


class MMLiteCLI(LightningCLI):
    """Lightning's command line with a processor that model and data share, and a run folder.

    Args:
        arguments: The command and its options, or its options alone where `run` is false.
        callbacks: More observers, beside those of the configuration.
        run: Whether to do the command; without, everything is built and nothing is run.
    """

    def __init__(
        self, arguments: Sequence[str], *, callbacks: Sequence[Callback] = (), run: bool = True
    ) -> None:
        self.more_callbacks = list(callbacks)
        # Abbreviated flags would let a typo pass as another flag.
        options: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            Stage,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=None,
            parser_kwargs={**options, **{c: dict(options) for c in COMMANDS}} if run else options,
            args=list(arguments),
            run=run,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder, and the processor that model and data share."""
        parser.add_argument("--run", type=str, help="Folder the run writes to.")
        parser.add_argument(
            "--overwrite", type=bool, default=False, help="Whether to train over a finished run."
        )
        parser.add_subclass_arguments(Processor, "processor", required=True)
        for target in ("model", "data"):
            parser.link_arguments(
                "processor", f"{target}.init_args.processor", apply_on="instantiate"
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and say in one sentence what is wrong.

        Raises:
            ArgumentProblem: If the options or a file are wrong.
        """
        check_files(args or ())
        try:
            with _command_line(sys.argv[:1]):  # Lightning warns where it finds arguments twice
                super().parse_arguments(parser, args)
        except ArgumentError as error:
            of_command = self._parser(args[0] if args and args[0] in COMMANDS else None)
            raise problem(error, of_command, args) from error
        command = self.config.get("subcommand")
        config = self.config[command] if command else self.config
        check_trainer(config.get("trainer"), is_trained=command == "fit")
        check_seed(config.get("seed_everything"))
        if command:  # Lightning opens the checkpoint next
            check_checkpoint(config.get("ckpt_path"), config["trainer"].get("strategy"))

    def before_instantiate_classes(self) -> None:
        """Put everything a run writes under its folder."""
        config = self.config[self.subcommand] if self.subcommand else self.config
        if not config.get("run"):
            raise ArgumentProblem("run: got nothing, allowed: a folder for the run; give --run")
        folder = Path(config["run"])
        self._check_folder(folder, config)
        if self.subcommand == "predict" and config.get("return_predictions") is None:
            config["return_predictions"] = False  # PredictionWriter has them; Lightning copies them
        self.as_given = config.clone()  # what the program fills in below belongs to this run alone
        fill_in(config["trainer"], folder)

    def _check_folder(self, folder: Path, config: Namespace) -> None:
        keep = not config["overwrite"] and not config.get("ckpt_path")
        if self.subcommand == "fit" and keep and (folder / WEIGHTS_FILE).exists():
            raise ArgumentProblem(
                f"run: got {folder}, which holds a finished run, allowed: an empty or "
                "unfinished folder; give another --run, or --overwrite true"
            )
        problem = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = str(error.strerror)
        if problem or not os.access(folder, os.W_OK):
            raise ArgumentProblem(
                f"run: got {folder}, which cannot be written ({problem or 'no right to'}), "
                "allowed: a folder you may write to; give another --run"
            )

    def before_fit(self) -> None:
        """Say that a run begins anew where it could go on."""
        config = self.config["fit"]
        folder = Path(config["run"])
        found = last_checkpoint(folder)
        is_anew = not config.get("ckpt_path") and not (folder / WEIGHTS_FILE).exists()
        if found is not None and is_anew:
            rank_zero_info(
                f"{folder} holds an unfinished run, and this one begins anew there; "
                f"--ckpt_path {found} goes on with it instead"
            )

    def before_validate(self) -> None:
        """Measure what the run trained."""
        self._take_finished()

    def before_test(self) -> None:
        """Measure what the run trained."""
        self._take_finished()

    def before_predict(self) -> None:
        """Answer with what the run trained."""
        self._take_finished()

    def _take_finished(self) -> None:
        config = self.config[str(self.subcommand)]
        folder = Path(config["run"])
        if config.get("ckpt_path"):
            return
        if (folder / WEIGHTS_FILE).exists():
            self.model.finished = folder
            return
        rank_zero_info(
            f"{folder} holds no finished run: these are the weights its model starts with "
            "(init_from, published or random ones); name the run with --run, or a checkpoint "
            "with --ckpt_path"
        )

    def instantiate_classes(self) -> None:
        """Build everything, and say in one sentence which value a class refuses.

        Raises:
            ArgumentProblem: If a class refuses a value.
        """
        config = self.config[self.subcommand] if self.subcommand else self.config
        for target in ("processor", "model", "data"):
            check_mappings(target, config.get(target))
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise ArgumentProblem(explain(str(error), Known())) from error

    def _run_subcommand(self, subcommand: str) -> None:
        folder = Path(self.config[subcommand]["run"])
        alone = only_one(folder) if subcommand == "fit" else nullcontext()
        with alone, terminable(self.trainer, folder), writing(folder):
            super()._run_subcommand(subcommand)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer; the configuration is recorded like Lightning's own callback would.

        Raises:
            ArgumentProblem: If it needs a package that is not installed.
        """
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except ModuleNotFoundError as error:  # an accelerator or plugin that is not installed
            text = str(error).split(" HINT:")[0]
            raise ArgumentProblem(f"trainer: {text}; change that key of trainer") from error
        if self.subcommand:
            config = self.config[self.subcommand]
            parser = self._parser(self.subcommand)
            record = ConfigRecord(parser, self.as_given, folder=config["run"])
            callbacks: list[Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
            callbacks += [record, WholeSteps(), *self.more_callbacks]
        return trainer


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    given, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = given


def run(arguments: Sequence[str], *, callbacks: Sequence[Callback] = ()) -> MMLiteCLI:
    """Run one of the training commands.

    Args:
        arguments: The command and its options.
        callbacks: More observers, beside those of the configuration.

    Returns:
        The command line object, which holds trainer, model and data.

    Raises:
        ArgumentProblem: If the options or a file are wrong.
        ValueError: If a row of the data is, or another process of the run has stopped.
        Stopped: If SIGTERM came before the run was done.
    """
    quieten()
    given = ["--help" if a == "--help-all" else a for a in arguments]
    # Lightning starts the other processes of a run with the command line it finds.
    program = str(Path(sysconfig.get_path("scripts")) / "mmlite")
    try:
        with _command_line([program, *arguments]):
            done = MMLiteCLI(given, callbacks=callbacks)
        leave_processes()
        if done.trainer.loggers:
            board = tensorboard_command(done.trainer.default_root_dir)
            rank_zero_info(f"TensorBoard: {board}")
        return done
    except RuntimeError as error:
        if "multiplied should equal the world size" in str(error):
            raise ArgumentProblem(
                f"trainer.strategy.init_args: got sizes of which Lightning says: {error}; set "
                "data_parallel_size to trainer.devices times trainer.num_nodes, and "
                "tensor_parallel_size to 1"
            ) from error
        if named := re.search(r"more than one stateful callback of type `(\w+)`", str(error)):
            raise ArgumentProblem(
                f"trainer.callbacks: got {named[1]} twice, allowed: one of it; take one out, or "
                "change the first in the file that names it"
            ) from error
        if not lost_a_process(error):
            raise
        raise ValueError(
            "another process of this run has stopped, so this one stops too; the other's message "
            "says why, and --ckpt_path goes on from the last checkpoint"
        ) from error
    except MisconfigurationException as error:
        text = " ".join(str(error).split())
        raise ArgumentProblem(f"trainer: {text}; change that key of trainer") from error
