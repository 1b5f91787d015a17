"""Keys: hashes of what a result depends on besides a study's own settings."""

import importlib.util
import re
import site
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from mmlite.records import content_key

DECIDING = ("study/observers.py", "study/sources.py", "study/work.py")
"""Files among those that report which decide results too."""

OWN_PACKAGES = ("mmlite", "data_modules", "callbacks")
"""Packages that `program_key` hashes."""


@cache
def program_key(*, reporting: bool = False) -> str:
    """Hash the source of everything that decides a result, or that decides how it is reported."""
    package = Path(__file__).parents[1]
    reports = {package / name for name in ("analysis", "study", "synthesis", "cli")}
    if reporting:
        folders, kept = [package / "analysis", package / "study"], set()
    else:
        folders = [package, package.parent / "data_modules", package.parent / "callbacks"]
        kept = {package / name for name in DECIDING}
    files = [
        file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and file.suffix != ".pyc"
        and (reporting or file in kept or not reports & set(file.parents))
    ]
    return content_key(*[file.read_bytes() for file in files])


def code_of(*texts: bytes) -> list[bytes]:
    """Return the source of the classes that YAML names and that belong to no installed package.

    A researcher's own module decides results as much as mmlite does. Whatever reads like a path of
    a module counts, for classes are also named without `class_path`. Of a module in a package,
    the whole package counts; what a module imports from elsewhere does not.

    Args:
        texts: YAML or JSON.
    """
    named = re.findall(rb"\b([A-Za-z_]\w*)(?:\.\w+)+", b"\n".join(texts))
    files = {file for top in sorted(set(named)) for file in _own_code(top.decode())}
    return [file.read_bytes() for file in sorted(files)]


@cache
def _own_code(top: str) -> list[Path]:
    if top in OWN_PACKAGES:
        return []
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # what cannot be imported stops the run that names it
        return []
    return [file for file in _files(spec) if not _is_installed(file)]


def _files(spec: ModuleSpec | None) -> list[Path]:
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return [file for folder in folders for file in folder.rglob("*.py")]
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


def _is_installed(file: Path) -> bool:
    paths = sysconfig.get_paths()
    installed = [
        *site.getsitepackages(),
        site.getusersitepackages(),
        paths["stdlib"],
        paths["purelib"],
        paths["platlib"],
    ]
    return any(file.is_relative_to(folder) for folder in installed)


def model_key(model: Mapping[str, Any]) -> list[Any]:
    """Return what tells a published model from another: its YAML, and its files if it has any.

    Files are told apart by name, size and time, for weights are too large to be read for this.
    """
    folder = Path(str(model.get("init_args", {}).get("name", ""))).expanduser()
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return [dict(model), [[str(f.relative_to(folder)), s.st_size, s.st_mtime_ns] for f, s in stats]]
