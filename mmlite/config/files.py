"""The YAML files a run is composed from."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from mmlite.config.problem import ArgumentProblem


def referenced_files(path: Path) -> list[Path]:
    """Return a YAML file and every YAML file it names, files first that name others.

    A name is looked up beside the file that says it, then in the current folder, as prompt sets
    are.
    """
    found = [path]
    for file in found:  # grows while it is gone through
        text = re.sub(r"(^|\s)#.*", "", file.read_text(), flags=re.MULTILINE)
        for name in re.findall(r"[\w./-]+\.ya?ml\b", text):
            inner = (file.parent / name).resolve()
            inner = inner if inner.is_file() else Path(name).resolve()
            if inner.is_file() and inner not in found:
                found.append(inner)
    return found


def check_keys(files: Sequence[Path]) -> None:
    """Stop where a mapping of a file has a key twice, of which YAML keeps the last.

    Args:
        files: Those a run is composed from.

    Raises:
        ArgumentProblem: At the first such key.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in files:
        try:
            found = yaml.compose(file.read_text(), Loader=loader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # whoever reads it says so
        for first, second in _twice(found):
            lines = f"{first.start_mark.line + 1} and {second.start_mark.line + 1}"
            raise ArgumentProblem(
                f"{file} lines {lines}: got key {second.value!r} twice, allowed: each key once; "
                "put both together"
            )


def _twice(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield keys of one mapping that are the same, at any depth."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen and key.value != "<<":
                yield seen[key.value], key
            seen[key.value] = key
        yield from _twice(value)
