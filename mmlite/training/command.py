"""`mmlite fit`, `validate`, `test` and `predict`: LightningCLI over stages and data modules."""

import os
import re
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from mmlite.config.explain import Known, explain, not_a_mapping
from mmlite.config.files import referenced_files
from mmlite.config.problem import ArgumentProblem
from mmlite.config.signatures import argument_names, wants_mapping
from mmlite.errors import writing
from mmlite.parallel import leave_processes, lost_a_process
from mmlite.processor import Processor
from mmlite.runs import CONFIG_FILE
from mmlite.stages import Stage
from mmlite.stages.weights import WEIGHTS_FILE
from mmlite.training.board import tensorboard_command
from mmlite.training.noise import quieten

COMMANDS = ("fit", "validate", "test", "predict")

CHECKPOINTS = "checkpoints"
"""Folder of a run that a killed run is resumed from: `--ckpt_path RUN/checkpoints/last.ckpt`."""

DEFAULT_CHECKPOINT_STEPS = 1000
"""Steps between checkpoints of a run that does not count in steps."""

CHECKPOINTS_PER_RUN = 10
"""How often a run leaves one, so that a kill costs a tenth of it; only the newest is kept."""


class ConfigRecord(Callback):
    """Write the composed configuration into the run's folder before training starts."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, *, folder: str) -> None:
        self.parser = parser
        self.config = config
        self.folder = Path(folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.is_global_zero and stage == "fit":
            self.folder.mkdir(parents=True, exist_ok=True)
            text = self.parser.dump(self.config, skip_none=False)
            part = self.folder / f".{CONFIG_FILE}.part"
            part.write_text(text)
            os.replace(part, self.folder / CONFIG_FILE)


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
        try:
            with _command_line(sys.argv[:1]):  # Lightning warns where it finds arguments twice
                super().parse_arguments(parser, args)
        except ArgumentError as error:
            of_command = self._parser(args[0] if args and args[0] in COMMANDS else None)
            raise _problem(error, of_command, args) from error
        command = self.config.get("subcommand")
        if command:  # Lightning opens the checkpoint next
            _check_checkpoint(self.config[command].get("ckpt_path"))

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
        _fill_in(config["trainer"], folder)

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
            _check_mappings(target, config.get(target))
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise ArgumentProblem(explain(str(error), Known())) from error

    def _run_subcommand(self, subcommand: str) -> None:
        with writing(self.config[subcommand]["run"]):
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
            callbacks += [record, *self.more_callbacks]
        return trainer


def _check_mappings(path: str, given: Any) -> None:
    """Stop where a mapping is wanted and another value given, which the parser lets through.

    Raises:
        ArgumentProblem: At the first such key.
    """
    owner = given.get("class_path") if isinstance(given, Namespace) else None
    arguments = given.get("init_args") if isinstance(given, Namespace) else None
    if owner is None or not isinstance(arguments, Namespace):
        return
    for name, value in vars(arguments).items():
        key = f"{path}.init_args.{name}"
        if wants_mapping(owner, name, value):
            shown = "null" if value is None else value
            raise ArgumentProblem(not_a_mapping(key, f"{shown}", argument_names(owner, name)))
        _check_mappings(key, value)


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    given, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = given


def _fill_in(trainer: Namespace, folder: Path) -> None:
    """Put logs and checkpoints into the run's folder, and show the whole run's progress."""
    trainer["default_root_dir"] = str(folder)
    if trainer.get("logger") in (None, True):
        trainer["logger"] = _instance(
            "lightning.pytorch.loggers.TensorBoardLogger",
            save_dir=str(folder),
            name="",
            version="logs",
            default_hp_metric=False,
        )
    callbacks = trainer.get("callbacks") or []
    callbacks = list(callbacks) if isinstance(callbacks, list) else [callbacks]
    named = " ".join(str(callback.get("class_path")) for callback in callbacks)
    for callback in callbacks:  # Lightning would put them beside the logs
        is_saver = str(callback.get("class_path")).endswith("ModelCheckpoint")
        if is_saver and callback.init_args.get("dirpath") is None:
            callback.init_args.dirpath = str(folder / CHECKPOINTS)
    if trainer.get("enable_checkpointing") in (None, True) and "ModelCheckpoint" not in named:
        callbacks.append(
            _instance(
                "lightning.pytorch.callbacks.ModelCheckpoint",
                dirpath=str(folder / CHECKPOINTS),
                filename="{step}",
                save_last="link",
                every_n_train_steps=_steps_between_checkpoints(trainer.get("max_steps") or -1),
            )
        )
    if trainer.get("enable_progress_bar") in (None, True) and "Progress" not in named:
        callbacks.append(_instance("mmlite.training.progress.RunProgress"))
    trainer["callbacks"] = callbacks


def _steps_between_checkpoints(max_steps: int) -> int:
    """Return a number of steps that does not divide all of them.

    Lightning does nothing at all when it resumes from the last step, so a run that is killed
    between a checkpoint there and its weights would never leave any.
    """
    if max_steps < 1:
        return DEFAULT_CHECKPOINT_STEPS
    every = max(2, max_steps // CHECKPOINTS_PER_RUN)
    while max_steps % every == 0:
        every += 1
    return every


def _instance(class_path: str, **arguments: Any) -> Namespace:
    return Namespace(class_path=class_path, init_args=Namespace(**arguments))


class _Unparsed(Exception):
    """Carries the parsers of the training commands before anything is parsed."""

    def __init__(self, parsers: dict[str, LightningArgumentParser]) -> None:
        super().__init__("not parsed")
        self.parsers = parsers


class _UnparsedCLI(MMLiteCLI):
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        raise _Unparsed({name: self._parser(name) for name in COMMANDS})


def training_parsers() -> dict[str, LightningArgumentParser]:
    """Return the parser of each training command."""
    parsers: dict[str, LightningArgumentParser] = {}
    try:
        _UnparsedCLI([])
    except _Unparsed as found:
        parsers = found.parsers
    return parsers


def check_arguments(parser: LightningArgumentParser, options: Sequence[str]) -> None:
    """Parse the options of a training command; nothing is built or run.

    Args:
        parser: Of `training_parsers`.
        options: What follows the command.

    Raises:
        ArgumentProblem: If an option or a file is wrong.
    """
    try:
        parser.parse_args(list(options))
    except ArgumentError as error:
        raise _problem(error, parser, options) from error


def _problem(
    error: ArgumentError, parser: LightningArgumentParser, options: Sequence[str]
) -> ArgumentProblem:
    keys = list(parser.get_defaults(skip_validation=True).keys())
    return ArgumentProblem(explain(str(error), Known(keys, _files(options), options)))


def _files(arguments: Sequence[str]) -> list[Path]:
    """Return the files given with `-c` and those they name, last given first."""
    given = [
        value
        for flag, value in zip(arguments, [*arguments[1:], ""], strict=True)
        if flag in ("-c", "--config")
    ]
    given += [a.partition("=")[2] for a in arguments if re.match(r"(-c|--config)=", a)]
    files = [Path(name) for name in reversed(given) if Path(name).is_file()]
    return list(dict.fromkeys(inner for file in files for inner in referenced_files(file)))


def _check_checkpoint(path: str | None) -> None:
    """Stop before any work if there is nothing to resume from.

    Raises:
        ArgumentProblem: If the checkpoint is missing or broken.
    """
    if path is None or path in ("best", "last", "hpc", "registry"):
        return
    allowed = "allowed: a checkpoint that a run wrote, whole; check the path, or start without it"
    if not Path(path).exists():
        raise ArgumentProblem(f"ckpt_path: got {path}, which does not exist, {allowed}")
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise ArgumentProblem(
            f"ckpt_path: got {path}, which is cut off or no checkpoint, {allowed}"
        )


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
        if not lost_a_process(error):
            raise
        raise ValueError(
            "another process of this run has stopped, so this one stops too; the other's message "
            "says why, and --ckpt_path goes on from the last checkpoint"
        ) from error
    except MisconfigurationException as error:
        text = " ".join(str(error).split())
        raise ArgumentProblem(f"trainer: {text}; change that key of trainer") from error
