"""Rules that hold for the whole tree: sizes, characters, headers, versions and import contracts.

What a rule looks for is put together from pieces, so that this file never breaks its own rules.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import mmlite

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mmlite", "data_modules", "callbacks")
MAX_LINES = 400
MAX_BYTES = 300_000
BINARY_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".ico", ".safetensors"}
NO_RUN_FOLDERS = {"parts", "overlays", "sizes"}
RUN_HEADERS = ("# Q:", "# Expect:", "# Run:")


def tracked() -> list[Path]:
    """Files that Git knows or would add; without Git, those of the project's own folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
        return sorted(path for path in paths if path.is_file())
    folders = (*PACKAGES, "tests", "benchmarks", "experiments", "docs")
    found = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    return sorted([*found, *(path for path in ROOT.iterdir() if path.is_file())])


FILES = tracked()
TEXTS = {path: path.read_bytes() for path in FILES if path.suffix not in BINARY_SUFFIXES}
SOURCES = [path for path in FILES if path.suffix == ".py"]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run_files() -> list[Path]:
    """Files below experiments/ that are runs or studies; parts, overlays and sizes are neither."""
    folder = ROOT / "experiments"
    return [
        path
        for path in FILES
        if path.suffix == ".yaml"
        and path.is_relative_to(folder)
        and path.parent != folder
        and not NO_RUN_FOLDERS & set(path.relative_to(folder).parts)
    ]


def test_there_are_sources_and_runs():
    assert len(SOURCES) > 100
    assert run_files()


def test_no_source_is_too_long():
    lengths = {short(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_sources_are_ascii():
    assert [short(path) for path in SOURCES if not path.read_bytes().isascii()] == []


def test_nothing_prints():
    """Also in tests and benchmarks, and where a linter's exception would allow it."""
    calls = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="print"), lineno=line):
                    calls.append(f"{short(path)}:{line}")
    assert calls == []


def test_ignore_index_is_defined_once():
    definition = re.compile(r"^IGNORE_INDEX\b[^=\n]*=[^=]", re.MULTILINE)
    defining = [
        short(path)
        for path in SOURCES
        if short(path).startswith(PACKAGES) and definition.search(path.read_text())
    ]
    assert len(defining) == 1, defining


def test_files_are_small_and_end_in_a_newline():
    too_large = [short(path) for path in FILES if path.stat().st_size > MAX_BYTES]
    assert too_large == []
    unended = [short(path) for path, text in TEXTS.items() if text and not text.endswith(b"\n")]
    assert unended == []


@pytest.mark.parametrize("path", run_files(), ids=short)
def test_runs_begin_with_their_question(path):
    header = [line for line in path.read_text().splitlines()[:12] if line.startswith("# ")]
    missing = [key for key in RUN_HEADERS if not any(line.startswith(key) for line in header)]
    assert missing == []


def test_yaml_and_toml_can_be_read():
    for path in FILES:
        if path.suffix in {".yaml", ".yml"}:
            list(yaml.safe_load_all(path.read_text()))
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text())


def test_no_file_names_a_machine_or_a_package_host():
    folders = ["/" + name + "/" for name in ("work", "home", "root", "Users", "opt")]
    hosts = ["py" + "pi.org", "python" + "hosted.org", "registry." + "npmjs", "/simple" + "/"]
    schemes = ["file:" + "//", "--" + "index-url", "--" + "extra-index", "--" + "find-links"]
    # A folder counts at the start of a path only: /usr/work/ and a/home/b are no machine's.
    pattern = "|".join(
        [
            *(rf"(?<![\w.)}}/-]){re.escape(folder)}" for folder in folders),
            *(re.escape(text) for text in hosts + schemes),
        ]
    )
    found = []
    for path, text in TEXTS.items():
        for match in re.finditer(pattern, text.decode("utf-8")):
            found.append(f"{short(path)}: {match.group()}")
    assert found == []


def test_constraints_are_exact_pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    exact = re.compile(r'[A-Za-z0-9][\w.-]*==[\w.+]+(; python_version [<>=]+ "[\d.]+")?')
    assert [line for line in pins if not exact.fullmatch(line)] == []
    names = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(text for extra in extras for text in extra)]
    wanted = {re.split(r"[^\w.-]", text)[0].lower() for text in asked}
    assert wanted - names == set()


def test_changelog_has_an_unreleased_section():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


def test_version_is_one_number():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert mmlite.__version__ == project["version"]


def test_unknown_attributes_of_the_package_are_refused():
    with pytest.raises(AttributeError, match="module 'mmlite' has no attribute 'verson'"):
        mmlite.verson  # noqa: B018


def test_import_contracts_hold():
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout)
