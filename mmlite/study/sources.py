"""Classes a study names by class path, as in any run's YAML: sources, and published models."""

import difflib
import importlib
import inspect
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.interop import PublishedModel


def build_source(value: dict[str, Any], seed: int) -> Any:
    """Build a source; one that takes a seed gets the study's, so that seeds ask other questions.

    Args:
        value: `class_path` and `init_args`.
        seed: Of the study's repetition.

    Raises:
        ValueError: If there is no such class, or its arguments are wrong.
    """
    allowed = "a source, such as data_modules.sources.MicroWorld"
    return _build(value, "evaluation.source", allowed, seed)


def build_model(value: dict[str, Any], name: str) -> PublishedModel:
    """Build a published model; nothing of it is loaded yet.

    Args:
        value: `class_path` and `init_args`.
        name: What the study calls it.

    Raises:
        ValueError: If there is no such class, or its arguments are wrong.
    """
    where = f"evaluation.models.{name}"
    allowed = "a PublishedModel, such as mmlite.interop.ImageTextModel"
    built = _build(value, where, allowed)
    if not isinstance(built, PublishedModel):
        raise ValueError(f"{where}.class_path: got {value['class_path']!r}, allowed: {allowed}")
    return built


def _build(value: dict[str, Any], where: str, allowed: str, seed: int | None = None) -> Any:
    path = str(value.get("class_path", ""))
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{where}.class_path: got {path!r}, which cannot be imported ({error}); "
            f"allowed: {allowed}"
        ) from error
    arguments = dict(value.get("init_args", {}))
    names = list(inspect.signature(found).parameters)
    if unknown := [key for key in arguments if key not in names]:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; correct or remove it"
        raise ValueError(f"{where}.init_args: got {unknown}, allowed: {', '.join(names)}{hint}")
    if seed is not None and "seed" in names:
        arguments.setdefault("seed", seed)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(found, "named")
    try:
        return parser.instantiate(parser.parse_object({"named": arguments})).named
    except ArgumentError as error:
        raise ValueError(f"{where}.init_args: {error}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
