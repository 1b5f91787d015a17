"""The YAML files a run is composed from."""

import re
from pathlib import Path


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
