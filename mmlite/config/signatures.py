"""What the classes that YAML names take, and which classes there are to name."""

import dataclasses
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from jsonargparse import Namespace

from mmlite.config.class_defaults import forget_defaults
from mmlite.config.mappings import merge_mappings

# Here, since whoever parses YAML for a person explains it by signatures.
forget_defaults()
merge_mappings()

GIVEN_BY_THE_PROGRAM = {"self", "processor", "params"}
"""Arguments that are never written in YAML."""


def resolve(class_path: str) -> Any | None:
    """Return what a class path names, or None."""
    module, _, name = class_path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None


def is_plain_record(class_path: str) -> bool:
    """Whether the keys of a class are written without `init_args`."""
    return dataclasses.is_dataclass(resolve(class_path))


def argument_names(class_path: str, group: str = "", *, filled: int = 0) -> list[str]:
    """Return the arguments of a class, or of one of its arguments that is a dataclass.

    Args:
        class_path: The class.
        group: Name of the argument to look into, dotted; empty for the class itself.
        filled: How many of its first arguments the program gives.
    """
    found = resolve(class_path)
    for name in filter(None, group.split(".")):
        found = _annotation(found, name)
    if not callable(found):
        return []
    names = [name for name in _parameters(found) if name not in GIVEN_BY_THE_PROGRAM]
    return names[filled if "params" not in _parameters(found) else 0 :]


def _parameters(found: Callable[..., Any]) -> list[str]:
    """Return named parameters, those of base classes too where more are passed on."""
    names: list[str] = []
    for owner in inspect.getmro(found) if inspect.isclass(found) else [found]:
        try:
            parameters = inspect.signature(owner).parameters.values()
        except (TypeError, ValueError):
            break
        names += [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(dict.fromkeys(names))


def _annotation(found: Any, name: str) -> Any | None:
    """Return the class an argument is annotated with."""
    target = found.__init__ if inspect.isclass(found) else found
    try:
        hint = typing.get_type_hints(target).get(name)
    except (TypeError, NameError):
        return None
    options = [hint, *typing.get_args(hint)]
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def wants_mapping(class_path: str, name: str, value: Any) -> bool:
    """Whether an argument of a class is a dataclass and this value is no mapping of its keys.

    Where something else is allowed too, such as a number, the value is left to the parser.

    Args:
        class_path: The class.
        name: Of the argument.
        value: As it was parsed.
    """
    if isinstance(value, Mapping | Namespace):
        return False
    found = resolve(class_path)
    target = found.__init__ if inspect.isclass(found) else found
    try:
        hint = typing.get_type_hints(target).get(name)
    except (TypeError, NameError):
        return False
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = set(typing.get_args(hint)) if is_union else {hint}
    if value is None:
        return dataclasses.is_dataclass(hint)
    kinds = options - {types.NoneType}
    return bool(kinds) and all(dataclasses.is_dataclass(kind) for kind in kinds)


def kind_of(class_path: str, name: str) -> type | None:
    """Return the class that an argument of a class wants an instance, or a factory, of.

    Args:
        class_path: The class.
        name: Of the argument.
    """
    found = resolve(class_path)
    try:
        hint = typing.get_type_hints(found.__init__ if inspect.isclass(found) else found).get(name)
    except (TypeError, NameError, AttributeError):
        return None
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    for option in typing.get_args(hint) if is_union else (hint,):
        if typing.get_origin(option) is Callable:
            option = typing.get_args(option)[1]
        if inspect.isclass(option) and option.__module__ != "builtins":
            return option
    return None


def kinds_in(text: str) -> list[type]:
    """Return the classes a parser's message names as what would fit, innermost first."""
    names = re.findall(r"Subtypes: \[(.*)\]$", text, re.MULTILINE)
    paths = [path for line in names for path in re.findall(r"[A-Za-z_][\w]*(?:\.\w+)+", line)]
    found = [resolve(path) for path in reversed(paths)]
    return [
        kind
        for kind in found
        if inspect.isclass(kind)
        and not dataclasses.is_dataclass(kind)
        and kind.__module__ != "collections.abc"
    ]


def classes_of(module: str, kind: type | None = None) -> list[str]:
    """Return the class paths a package offers: classes, of a kind if one is given, and its makers.

    A maker is a function that is annotated to return that kind.
    """
    try:
        found = importlib.import_module(module)
    except (ImportError, ValueError):
        return []
    return [
        f"{module}.{name}"
        for name, value in vars(found).items()
        if not name.startswith("_")
        and ((inspect.isclass(value) and _is_class_of(value, kind)) or _makes(value, kind))
    ]


def _is_class_of(value: type, kind: type | None) -> bool:
    if inspect.isabstract(value):
        return False
    return kind is None or (issubclass(value, kind) and value is not kind)


def _makes(value: Any, kind: type | None) -> bool:
    if kind is None or not inspect.isfunction(value):
        return False
    try:
        made = typing.get_type_hints(value).get("return")
    except (TypeError, NameError):
        return False
    return inspect.isclass(made) and issubclass(made, kind)
