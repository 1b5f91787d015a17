"""Nearest right names: keys, files and classes for what was probably meant."""

import difflib
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from mmlite.config.signatures import classes_of, resolve

COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)
"""What a YAML file says to people alone."""

MAX_CLASSES = 8
"""Most classes that are listed."""


def did_you_mean(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a hint that ends a message, or nothing where no name is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""


def near_file(path: str) -> str:
    """Say that a file is not there, and which one beside it has a name like it."""
    found = Path(path)
    shown = _relative(found)
    folder = found.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != found.parent:
        return f"{shown}, but there is no folder {_relative(found.parent)}; correct the path"
    beside = {f.name: f for f in folder.iterdir() if f.is_file()}
    near = difflib.get_close_matches(found.name, beside, n=1)
    hint = f"did you mean {_relative(beside[near[0]])}?" if near else "correct the path"
    return f"{shown}, but there is no such file; {hint}"


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def naming_file(files: Sequence[Path], name: str) -> str:
    """Say in which file a key or value stands, if one of the files has it."""
    pattern = re.compile(rf"(?:^|[\s\"'\[{{]){re.escape(name.strip())}(?:$|[\s\"',:\]}}])", re.M)
    for file in files:
        try:
            text = COMMENT.sub("", file.read_text())
        except (OSError, UnicodeDecodeError):
            continue
        if pattern.search(text):
            return f" in {_relative(file.absolute())}"
    return ""


def first_broken_yaml(files: Sequence[Path]) -> str | None:
    """Say which file is no YAML mapping, and where it breaks."""
    for file in files:
        try:
            value = yaml.safe_load(file.read_text())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = f" line {mark.line + 1}" if mark else ""
            return f"{file}{line}: is no YAML, {error.problem}; correct that line"
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            return f"{file}: cannot be read as YAML ({error}); replace the file"
        if not isinstance(value, dict):
            kind = type(value).__name__
            return f"{file}: got a {kind}, allowed: a mapping of keys; see experiments/base.yaml"
    return None


def class_hint(
    class_path: str, kinds: Sequence[type], *, wrong_kind: str = "", where: str = ""
) -> str:
    """Say what is wrong with a class path and what could stand there.

    Args:
        class_path: As given.
        kinds: Classes of which a subclass would fit, likeliest first.
        wrong_kind: Name of the kind that the class, which exists, is not.
        where: In which file it stands, as `naming_file` says it.
    """
    kind = next((k for k in kinds if k.__name__ == wrong_kind), None) if wrong_kind else None
    kind = kind or next(iter(kinds), None)
    module = class_path.rpartition(".")[0]
    offered = classes_of(module, kind)
    if not offered and not wrong_kind:
        offered = classes_of(module)  # the message does not tell the kind of a nested class
    if not offered and kind is not None:
        offered = _beside(kind)
    reason = f"which is no {wrong_kind}" if wrong_kind else "which does not exist"
    if wrong_kind and inspect.isfunction(resolve(class_path)):
        return (
            f"got {class_path!r}{where}, a function that is not annotated to return a {wrong_kind}"
            f", allowed: one that is; write -> {wrong_kind} behind its arguments"
        )
    near = did_you_mean(class_path, offered) or _like_named(class_path, offered)
    near = "" if wrong_kind else near  # its name is right
    listed = ", ".join(offered[:MAX_CLASSES]) + (", ..." if len(offered) > MAX_CLASSES else "")
    allowed = f", allowed: {listed}" if listed else ""
    return f"got {class_path!r}{where}, {reason}{allowed}{near or '; correct the class path'}"


def module_hint(class_path: str, missing: str) -> str:
    """Say which module a class path needs that is not there; nothing if its package is.

    Args:
        class_path: As given.
        missing: Name of the module that could not be imported.
    """
    module = class_path.rpartition(".")[0]
    if module != missing and not module.startswith(f"{missing}."):
        return (
            f"got {class_path!r}, whose module imports {missing}, but there is no module "
            f"{missing}; install it, or correct the import"
        )
    if "." in missing:
        return ""
    beside = [file.stem for file in Path.cwd().glob("*.py")]
    near = did_you_mean(missing, beside) or "; correct the class path"
    looked = "looked beside you, in PYTHONPATH and among what is installed"
    return f"got {class_path!r}, but there is no module {missing} ({looked}){near}"


def _like_named(class_path: str, offered: Sequence[str]) -> str:
    """Return a hint at a class whose last name is like the one given."""
    names = {path.rpartition(".")[2]: path for path in offered}
    near = difflib.get_close_matches(class_path.rpartition(".")[2], names, n=1)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _beside(kind: type) -> list[str]:
    """Return classes of a kind from the package that the kind itself lives in."""
    package = kind.__module__
    while package:
        if offered := classes_of(package, kind):
            return offered
        package = package.rpartition(".")[0]
    return []
