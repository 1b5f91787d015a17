"""`mmlite world`: look at the micro-world, or export it."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from rich.console import Console
from rich.progress import Progress

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.microworld import WorldConfig
from mmlite.microworld.export import ExportPlan, export_world
from mmlite.microworld.preview import preview_world

_log = logging.getLogger(__name__)

PREVIEW_COLUMNS = 4
PREVIEW_IMAGES = 12
EXPORT_IMAGES = 100


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite world", exit_on_error=False, allow_abbrev=False)
    made.add_argument("--preview", type=str, help="PNG file for a grid of pictures.")
    made.add_argument("--export", type=str, help="Folder for pictures and LLaVA-format JSON.")
    made.add_argument("--images", type=int, help="Pictures per split, or in the preview.")
    made.add_argument("--questions", type=int, default=4, help="Questions per exported picture.")
    made.add_argument("--seed", type=int, default=0, help="Decides everything.")
    made.add_argument("--world", type=str, help="YAML file of difficulty dials.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option or the file of dials is wrong.
        ValueError: If the folder to export to is not empty.
    """
    options = parser()
    given_texts = list(arguments[1:])
    try:
        given = options.parse_args(given_texts)
    except ArgumentError as error:
        known = Known(list(options.get_defaults().keys()))
        raise ArgumentProblem(explain(str(error), known)) from error
    if not given.preview and not given.export:
        raise ArgumentProblem("world: got neither --preview nor --export; give one of them or both")
    if given.images is not None and given.images < 1:
        raise ArgumentProblem(f"--images: got {given.images}, allowed: 1 or more")
    world = _dials(given.world)
    if given.preview:
        _preview(given, world)
    if given.export:
        _export(given, world)


def _preview(given: Any, world: WorldConfig) -> None:
    images = given.images or PREVIEW_IMAGES
    columns = min(PREVIEW_COLUMNS, images)
    path = preview_world(
        given.preview, rows=-(-images // columns), columns=columns, seed=given.seed, config=world
    )
    _log.info("Preview: %s", path)


def _export(given: Any, world: WorldConfig) -> None:
    plan = ExportPlan(
        num_images=given.images or EXPORT_IMAGES,
        questions_per_image=given.questions,
        seed=given.seed,
        config=world,
    )
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        counts = export_world(
            given.export,
            plan,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for split, files in counts.items():
        told = ", ".join(f"{number} {name}" for name, number in files.items())
        _log.info("%s: %d pictures; records: %s", split, plan.num_images, told)
    _log.info("Exported to %s", given.export)


def _dials(path: str | None) -> WorldConfig:
    """Read the difficulty dials.

    Raises:
        ArgumentProblem: If the file is missing, or holds other keys or values.
    """
    if path is None:
        return WorldConfig()
    try:
        value = yaml.safe_load(Path(path).read_text())
        if not isinstance(value, dict):
            raise ValueError(f"got {type(value).__name__}, allowed: a mapping of dials")
        return WorldConfig.from_json(value)
    except OSError as error:
        raise ArgumentProblem(f"--world: got {path}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ArgumentProblem(f"--world {path}: {text}; correct the file") from error
