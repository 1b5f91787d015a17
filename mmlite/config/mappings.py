"""A mapping of free keys, such as `init_from`, adds to the one that an earlier file gave.

jsonargparse merges the arguments of classes over files, and replaces mappings whose keys are free,
though a flag for one of their keys merges too. Here files merge all of them, and null removes a
key. A flag that gives a whole mapping replaces it, as a study does to say where weights come from.
"""

import functools
import types
import typing
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from jsonargparse import Namespace
from jsonargparse._typehints import ActionTypeHint
from jsonargparse._util import NestedArg

_check_as_given = ActionTypeHint._check_type
_call_as_given = ActionTypeHint.__call__
_is_flag: ContextVar[bool] = ContextVar("is_flag", default=False)


def merge_mappings() -> None:
    """Let parsers merge mappings of free keys."""
    # jsonargparse has no setting for it.
    ActionTypeHint._check_type = _check_merged
    ActionTypeHint.__call__ = _call_of_a_flag


@functools.wraps(_call_as_given)
def _call_of_a_flag(self: ActionTypeHint, *given: Any, **named: Any) -> Any:
    token = _is_flag.set(True)
    try:
        return _call_as_given(self, *given, **named)
    finally:
        _is_flag.reset(token)


@functools.wraps(_check_as_given)
def _check_merged(
    self: ActionTypeHint, value: Any, append: bool = False, cfg: Any = None, mode: Any = None
) -> Any:
    values = _value_type(self._typehint)
    if values is not None and not append:
        before = cfg.get(self.dest) if cfg else None
        value = _merged(value, before if isinstance(before, dict) else {}, values)
    return _check_as_given(self, value, append=append, cfg=cfg, mode=mode)


def _merged(value: Any, before: dict[str, Any], values: Any) -> Any:
    """Return a mapping added to the one before; whatever else is given stays as it is."""
    if isinstance(value, NestedArg):
        is_removed = value.val in (None, "null", "None") and not _takes_null(values)
        if not is_removed or "." in value.key:
            return value
        return {key: kept for key, kept in before.items() if key != value.key}
    if not isinstance(value, dict) or "class_path" in value or _is_flag.get():
        return value
    merged = {**before, **value}
    if _takes_null(values):
        return merged
    return {key: kept for key, kept in merged.items() if kept is not None}


def _value_type(hint: Any) -> Any | None:
    """Return the type of a mapping's values, if an argument is a mapping of free keys."""
    for option in (hint, *typing.get_args(hint)):
        origin = typing.get_origin(option) or option
        if isinstance(origin, type) and issubclass(origin, dict | Mapping):
            if typing.is_typeddict(option) or issubclass(origin, Namespace):
                return None
            return (*typing.get_args(option), Any, Any)[1]
    return None


def _takes_null(values: Any) -> bool:
    return values is Any or types.NoneType in typing.get_args(values)
