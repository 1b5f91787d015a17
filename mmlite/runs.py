"""Finished runs: loading what a run trained, to evaluate it or to go on from it."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.class_defaults import forget_defaults
from mmlite.processor import Processor
from mmlite.stages import Stage
from mmlite.stages.checkpoints import is_checkpoint
from mmlite.stages.weights import WEIGHTS_FILE

CONFIG_FILE = "config.yaml"
"""Name of the file in a run's folder that records how the run was composed."""


def load_run(folder: str | Path) -> Stage:
    """Build the stage of a finished run with the weights it ended with.

    Parts the run did not train come from where the run itself took them.

    Args:
        folder: The run's folder; or one of its checkpoints, sharded or not, to load what it had
            trained by then.

    Returns:
        The stage with its model built, in evaluation mode; `stage.processor` is the run's.

    Raises:
        ValueError: If the folder holds no finished run, or its weights do not fit it.
    """
    given, folder = Path(folder), run_folder(folder)
    needed = [CONFIG_FILE] if is_checkpoint(given) else [CONFIG_FILE, WEIGHTS_FILE]
    for name in needed:
        if not (folder / name).is_file():
            raise ValueError(
                f"run: got {folder}, which has no {name}; allowed: the folder of a finished run"
            )
    stage = build_stage(yaml.safe_load((folder / CONFIG_FILE).read_text()))
    stage.configure_model()
    stage.restore(given)
    return stage.eval()


def run_folder(given: str | Path) -> Path:
    """Return a run's folder, or the one that a run's checkpoint lies in, as far as it is known."""
    given = Path(given)
    if not is_checkpoint(given):
        return given
    return next((f for f in given.parents if (f / CONFIG_FILE).is_file()), given)


def build_stage(config: dict[str, Any]) -> Stage:
    """Build a stage and its processor from a composed configuration, without data or trainer."""
    forget_defaults()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Processor, "processor", required=True)
    parser.add_subclass_arguments(Stage, "model", required=True)
    parser.link_arguments("processor", "model.init_args.processor", apply_on="instantiate")
    try:
        parsed = parser.parse_object({key: config[key] for key in ("processor", "model")})
        return parser.instantiate(parsed).model
    except (ArgumentError, KeyError) as error:
        raise ValueError(f"run configuration: {error}") from error
