"""The pages of docs/ and the README name what is there."""

import re
from pathlib import Path

import pytest

from mmlite.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("benchmarks/*.md")])
ROOMS = ("mmlite", "data_modules", "callbacks", "experiments", "tests", "benchmarks", "docs")
NOT_ROOMS = {"__init__.py", "__pycache__", "py.typed"}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def rooms_of_the_table() -> list[str]:
    """The paths in the first column of the table of rooms; a row may name a folder once."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("## Rooms")[1].split("## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = []
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        folder = first.rpartition("/")[0]
        named += [first, *(n if "/" in n else f"{folder}/{n}".lstrip("/") for n in others)]
    return named


def test_rooms_of_the_architecture_are_there() -> None:
    named = rooms_of_the_table()
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in named if name.endswith("/") != (ROOT / name).is_dir()] == []


def test_every_room_is_in_the_architecture() -> None:
    named = {name.rstrip("/") for name in rooms_of_the_table()}
    inner = {f"mmlite/{path.name}" for path in (ROOT / "mmlite").iterdir()}
    there = {*inner, *ROOMS} - {"mmlite"} - {f"mmlite/{name}" for name in NOT_ROOMS}
    assert there - named == set(), "docs/architecture.md: add these to the table of rooms"


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_named_files_are_there(page: Path) -> None:
    """Paths in code, and the targets of links; patterns and placeholders are left out."""
    text = page.read_text()
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    named = [name for name in code if re.fullmatch(rf"(?:{'|'.join(ROOMS)})/[\w./-]+", name)]
    missing = [name for name in named if not (ROOT / name).exists()]
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing += [name for name in targets if not (page.parent / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_commands_and_their_files_are_there(page: Path) -> None:
    lines = re.findall(r"^(?:    |)(?:\.venv/bin/)?mmlite (.*)$", page.read_text(), re.MULTILINE)
    for line in lines:
        name, *rest = line.split("#")[0].split()
        assert name in (*COMMANDS, "--help", "--version") or name.isupper(), line
        files = [word for word in rest if word.startswith("experiments/")]
        assert [file for file in files if not (ROOT / file).is_file()] == [], line
