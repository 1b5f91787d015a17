"""A class that YAML names starts with its own defaults, not with those of the class before it.

Where one class takes the place of another, a default or what an earlier file named, jsonargparse
keeps all arguments of the earlier one that the later one takes too, defaults that nobody wrote
among them: AnyRes would get the one tile of ImageTransform, SGD the weight decay of AdamW.
"""

from typing import Any

from jsonargparse import Namespace, _typehints
from jsonargparse._typehints import ActionTypeHint

_keep_what_is_given = _typehints.discard_init_args_on_class_path_change


def forget_defaults() -> None:
    """Let parsers keep only what was given where a class takes the place of another.

    What equals the earlier class's default counts as not given: nothing tells them apart.
    """
    # jsonargparse calls it by its name in the module, and has no setting for it.
    _typehints.discard_init_args_on_class_path_change = _discard


def _discard(parser: Any, before: Any, after: Any) -> None:
    """Take the earlier class's defaults, and what the later class does not have, out of it.

    Mappings of free keys merge within a class alone: those the later class is given are its own.
    """
    if _changes(before, after):
        given = before["init_args"]
        defaults = ActionTypeHint.get_class_parser(before["class_path"]).get_defaults()
        for key, value in list(given.items(branches=True, nested=False)):
            is_default = key in defaults and defaults[key] == value
            if is_default or (isinstance(value, dict) and _gives_mapping(after, key)):
                given.pop(key)
    _keep_what_is_given(parser, before, after)


def _changes(before: Any, after: Any) -> bool:
    if not isinstance(before, Namespace) or not isinstance(before.get("init_args"), Namespace):
        return False
    return before.get("class_path") not in (None, after["class_path"])


def _gives_mapping(after: Any, key: str) -> bool:
    arguments = after.get("init_args")
    given = arguments.get(key) if isinstance(arguments, Namespace | dict) else None
    return isinstance(given, dict)
