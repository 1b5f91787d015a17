"""Building what YAML names by class path, where no run's own parser does."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.explain import Known, explain, not_a_mapping
from mmlite.config.near import class_hint, did_you_mean
from mmlite.config.signatures import argument_names, classes_of, resolve, wants_mapping

KEYS = ("class_path", "init_args")


def build_named(
    value: Any,
    where: str,
    *,
    kind: type,
    example: str,
    files: Sequence[Path] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Build an object of a class that YAML names.

    Args:
        value: A mapping of `class_path` and `init_args`.
        where: Its key, for messages.
        kind: What it has to be an instance of; `object` for anything.
        example: Class path of one that would do, for messages.
        files: YAML files that the value may stand in, for messages.
        defaults: Arguments that count where `init_args` leaves them out and the class takes them.

    Raises:
        ValueError: If there is no such class, it is of another kind, or its arguments are wrong;
            the message names the key.
    """
    found = _found(value, where, kind, example)
    path, arguments = value["class_path"], value.get("init_args") or {}
    names = argument_names(path)
    if not isinstance(arguments, Mapping):
        raise ValueError(not_a_mapping(f"{where}.init_args", repr(arguments), names))
    for name, given in arguments.items():
        if wants_mapping(path, str(name), given):
            inner = argument_names(path, str(name))
            raise ValueError(not_a_mapping(f"{where}.init_args.{name}", repr(given), inner))
    given = {key: default for key, default in (defaults or {}).items() if key in names}
    return _built(found, {**given, **arguments}, f"{where}.init_args", names, files)


def _found(value: Any, where: str, kind: type, example: str) -> type:
    """Return the class that is named."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        raise ValueError(
            f"{where}: got {value!r}, allowed: a mapping of class_path and init_args, such as "
            f"{{class_path: {example}, init_args: {{...}}}}"
        )
    if unknown := [str(key) for key in value if key not in KEYS]:
        near = did_you_mean(unknown[0], KEYS) or "; correct or remove it"
        raise ValueError(f"{where}: got key {unknown[0]!r}, allowed: {', '.join(KEYS)}{near}")
    path = value["class_path"]
    found = resolve(path)
    if isinstance(found, type) and issubclass(found, kind) and not inspect.isabstract(found):
        return found
    if found is None and classes_of(path.rpartition(".")[0], kind):
        raise ValueError(f"{where}.class_path: {class_hint(path, [kind])}")
    reason = "which does not exist" if found is None else f"which is no {kind.__name__} to build"
    near = did_you_mean(path, classes_of(example.rpartition(".")[0], kind))
    raise ValueError(
        f"{where}.class_path: got {path!r}, {reason}, allowed: a class such as {example}"
        f"{near or '; correct the class path'}"
    )


def _built(
    found: type, arguments: dict[str, Any], where: str, names: Sequence[str], files: Sequence[Path]
) -> Any:
    parameters = inspect.signature(found).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.name in names]
    missing = [name for name in needed if name not in arguments]
    # A wrong name says more than a lacking one, and is told below.
    if missing and not set(arguments).difference(names):
        raise ValueError(f"{where}: got no {', '.join(missing)}; {found.__name__} needs it")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(found, where)
    known = Known([f"{where}.{name}" for name in names], files)
    nested: dict[str, Any] = arguments
    for key in reversed(where.split(".")):
        nested = {key: nested}
    try:
        built = parser.instantiate(parser.parse_object(nested))
    except ArgumentError as error:
        raise ValueError(explain(str(error), known)) from error
    except ValueError as error:  # of the class itself; of a dataclass in it, among alternatives
        text = str(error)
        told = explain(text, known) if "\n" in text else text
        raise ValueError(f"{where}: {told}") from error
    for key in where.split("."):
        built = built[key]
    return built
