"""YAML files, and the dataclasses that they are read into."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

T = TypeVar("T")


class _DistinctKeys(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which the last would win."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping as it is written, before keys of others are merged into it."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no key of a mapping in Python; refused when it becomes one
            if (first := lines.get((key.tag, key.value))) is not None:
                raise yaml.MarkedYAMLError(
                    problem=f"got the key {key.value!r}, which is in line {first} already",
                    problem_mark=key.start_mark,
                )
            lines[key.tag, key.value] = key.start_mark.line + 1
        return node


def read_yaml(path: Path, where: str) -> Any:
    """Read a file.

    Args:
        path: The file.
        where: What it is to the study, for the message.

    Raises:
        ValueError: If it is no YAML in UTF-8, or a mapping has a key twice; the message names the
            line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_DistinctKeys)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: {path} is no text in UTF-8; save it as such") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ValueError(
            f"{where}: {path}{place} is no YAML ({problem}); correct it there"
        ) from error


def mapping(value: Any, kind: type[Any], where: str) -> dict[str, Any]:
    """Check that a value is a mapping with the keys of a class, and return it.

    Args:
        value: As read.
        kind: The dataclass.
        where: Its key in the file, for the message.

    Raises:
        ValueError: If it is no mapping, or has a key that is none of the class.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: got {value!r}, allowed: a mapping")
    allowed = [f.name for f in dataclasses.fields(kind)]
    if unknown := sorted(set(value) - set(allowed), key=str):
        near = difflib.get_close_matches(str(unknown[0]), allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; correct or remove it"
        raise ValueError(f"{where}: got {unknown}, allowed: {', '.join(allowed)}{hint}")
    return dict(value)


def build(kind: type[T], value: Any, where: str) -> T:
    """Build a dataclass of a mapping whose values are of the kinds that it says.

    Args:
        kind: The dataclass.
        value: As read; what it holds of other dataclasses is built already.
        where: Its key in the file, for the message.

    Raises:
        ValueError: If a key or a value's kind is wrong.
    """
    given_keys = mapping(value, kind, where)
    hints = get_type_hints(kind)
    for key, given in given_keys.items():
        kinds = [get_origin(hint) or hint for hint in (get_args(hints[key]) or (hints[key],))]
        if get_origin(hints[key]) in (list, dict):
            kinds = [get_origin(hints[key])]
        if not isinstance(given, tuple(kinds)) or (isinstance(given, bool) and bool not in kinds):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{where}.{key}: got {given!r}, allowed: {names}; correct it")
        _check_texts(given, hints[key], f"{where}.{key}")
    return kind(**given_keys)


def _check_texts(given: Any, hint: Any, where: str) -> None:
    """Check that what a list or mapping holds is texts where it must be."""
    if get_origin(hint) is list:
        parts = [("items", given)]
    elif get_origin(hint) is dict:
        parts = [("keys", list(given)), ("values", list(given.values()))]
    else:
        return
    for (name, values), kind in zip(parts, get_args(hint), strict=True):
        wrong = [value for value in values if kind is str and not isinstance(value, str)]
        if wrong:
            raise ValueError(f"{where}: got {name} {wrong}, allowed: texts; put names into quotes")


def need(value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Check that keys are given.

    Args:
        value: As read.
        keys: Those that must be there.
        where: Its key in the file, for the message.

    Raises:
        ValueError: If one is missing.
    """
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{where}: got no {', '.join(missing)}; a study needs {', '.join(keys)}")
