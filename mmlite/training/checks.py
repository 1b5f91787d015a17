"""What is wrong with the arguments of a training command, said in one sentence."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from mmlite.config.explain import Known, explain, not_a_mapping
from mmlite.config.files import check_keys, referenced_files
from mmlite.config.problem import ArgumentProblem
from mmlite.config.signatures import argument_names, wants_mapping


def problem(
    error: ArgumentError, parser: LightningArgumentParser, options: Sequence[str]
) -> ArgumentProblem:
    """Say what is wrong with options, by the parser's own error, and where that stands."""
    keys = list(parser.get_defaults(skip_validation=True).keys())
    return ArgumentProblem(explain(str(error), Known(keys, _files(options), options)))


def check_files(options: Sequence[str]) -> None:
    """Stop at what is wrong in the files of options and a parser does not see.

    Raises:
        ArgumentProblem: If a key stands twice.
    """
    check_keys(_files(options))


def _files(arguments: Sequence[str]) -> list[Path]:
    """Return the files given with `-c` and those they name, last given first."""
    given = [
        value
        for flag, value in zip(arguments, [*arguments[1:], ""], strict=True)
        if flag in ("-c", "--config")
    ]
    given += [a.partition("=")[2] for a in arguments if re.match(r"(-c|--config)=", a)]
    files = [Path(name) for name in reversed(given) if Path(name).is_file()]
    try:
        return list(dict.fromkeys(inner for file in files for inner in referenced_files(file)))
    except UnicodeDecodeError:
        return files  # whoever reads them says so


def check_mappings(path: str, given: Any) -> None:
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
        check_mappings(key, value)


def check_checkpoint(path: str | None, strategy: Any) -> None:
    """Stop before any work if there is nothing to resume from.

    Args:
        path: What to resume from, if anything.
        strategy: Of the trainer, as it is configured.

    Raises:
        ArgumentProblem: If the checkpoint is missing or broken, or shards and strategy do not fit.
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
    named = strategy.class_path if isinstance(strategy, Namespace) else str(strategy or "auto")
    if Path(path).is_dir() and named.endswith(("auto", "ddp", "DDPStrategy", "DeviceStrategy")):
        raise ArgumentProblem(
            f"ckpt_path: got {path}, the folder of a sharded run, allowed: a file, without "
            "sharding; give the overlay of the run last (-c experiments/overlays/fsdp.yaml)"
        )
    if Path(path).is_file() and named.endswith("ModelParallelStrategy"):
        raise ArgumentProblem(
            f"ckpt_path: got {path}, a file of a run that was not sharded, allowed: the folder of "
            "a sharded one; resume without the sharding overlay, or take weights alone by init_from"
        )


LEAST = {"val_check_interval": "above 0", "accumulate_grad_batches": "1 or more"}
"""Numbers of the trainer that may not be 0, with what is allowed of each."""


def check_trainer(trainer: Any, *, is_trained: bool) -> None:
    """Stop before any work at what Lightning lets through, or fails at in a way of its own.

    Args:
        trainer: As it is configured.
        is_trained: Whether the command trains.

    Raises:
        ArgumentProblem: If a value of the trainer is wrong.
    """
    if not isinstance(trainer, Namespace):
        shown = "null" if trainer is None else trainer
        raise ArgumentProblem(
            f"trainer: got {shown}, allowed: a mapping, such as max_steps: 100; leave it out to "
            "keep what earlier files say"
        )
    for key, allowed in LEAST.items():
        given = trainer.get(key)
        if isinstance(given, int | float) and given <= 0:
            raise ArgumentProblem(f"trainer.{key}: got {given}, allowed: {allowed}; correct it")
    clip = trainer.get("gradient_clip_val")
    if clip is not None and clip < 0:
        raise ArgumentProblem(
            f"trainer.gradient_clip_val: got {clip}, allowed: 0 or more; null clips nothing"
        )
    if is_trained and trainer.get("max_epochs") == 0:
        raise ArgumentProblem(
            "trainer.max_epochs: got 0, which trains nothing, allowed: 1 or more, or null where "
            "trainer.max_steps says how long"
        )


def check_seed(seed: Any) -> None:
    """Stop at a seed that numpy does not take.

    Args:
        seed: Of the run; true for one that is drawn, false for none.

    Raises:
        ArgumentProblem: If it is out of bounds.
    """
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        raise ArgumentProblem(
            f"seed_everything: got {seed}, allowed: 0 to {2**32 - 1}; give another one"
        )
