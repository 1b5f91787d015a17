"""`mmlite world` and `mmlite completion`."""

import errno
import importlib.util
import json
import re
import subprocess

import pytest
from PIL import Image

from mmlite.cli.main import main
from mmlite.microworld import export


def test_preview_is_a_picture_and_may_be_written_again(tmp_path):
    path = tmp_path / "grid.png"
    assert main(["world", "--preview", str(path), "--images", "2"]) == 0
    first = path.read_bytes()
    assert main(["world", "--preview", str(path), "--images", "2", "--seed", "1"]) == 0
    assert path.read_bytes() != first
    with Image.open(path) as image:
        assert image.width > image.height / 2 > 50


def test_export_takes_the_dials(tmp_path):
    dials = tmp_path / "dials.yaml"
    dials.write_text("max_objects: 2\nmin_objects: 2\n")
    folder = tmp_path / "out"
    options = ["--images", "2", "--questions", "1", "--world", str(dials)]
    assert main(["world", "--export", str(folder), *options]) == 0
    records = json.loads((folder / "train" / "qa.json").read_text())
    assert len(records) == 2
    assert all(len(record["mmlite"]["scene"]["objects"]) == 2 for record in records)


def test_export_leaves_a_folder_with_files_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["world", "--export", str(tmp_path)]) == 1
    assert "which is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--images", "3"], "got neither --preview nor --export"),
        (["--preview", "x.png", "--images", "0"], "--images: got 0, allowed: 1 or more"),
        (["--preview", "x.png", "--sed", "1"], "got key 'sed'.*did you mean seed?"),
        (["--preview", "x.png", "--seed", "one"], "seed: got one, allowed: int"),
        (["--preview", "x.png", "--world", "no.yaml"], "--world: got no.yaml: No such file"),
        (["--preview", "x.png", "--world", "DIALS"], r"got \['noize'\], allowed: .*noise"),
    ],
)
def test_wrong_options(options, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DIALS").write_text("noize: 3\n")
    assert main(["world", *options]) == 2
    shown = capsys.readouterr().err
    assert re.search(told, shown), shown
    assert not (tmp_path / "x.png").exists()


def test_preview_of_another_format_is_refused(capsys):
    assert main(["world", "--preview", "x.jpg"]) == 1
    assert "allowed: a name that ends in .png" in capsys.readouterr().err


def test_completion_knows_commands_and_options(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for word in ("study", "--trainer.max_steps", "--ckpt_path", "--seeds", "--preview"):
        assert word in script
    assert len(script) < 100_000
    path = tmp_path / "mmlite"
    path.write_text(script)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_completion_says_what_to_install(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "shtab" else find(name)
    )
    assert main(["completion", "bash"]) == 2
    assert "pip install 'mmlite[completion]'" in capsys.readouterr().err


def test_completion_of_an_unknown_shell(capsys):
    assert main(["completion", "fish"]) == 2
    assert "got fish, allowed: one of bash, zsh, tcsh" in capsys.readouterr().err


def test_a_file_where_a_folder_belongs_is_named(tmp_path, capsys):
    file = tmp_path / "there"
    file.touch()
    assert main(["world", "--export", str(file), "--images", "1"]) == 1
    assert capsys.readouterr().err.startswith(f"mmlite: export: got '{file}', which is a file, ")
    dials = tmp_path / "world.yaml"
    dials.write_text("max_objects: many\n")
    assert main(["world", "--preview", str(tmp_path / "p.png"), "--world", str(dials)]) == 2
    assert "max_objects: got 'many', allowed: a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, "train.json"])
def test_a_folder_that_takes_no_more_is_named_as_it_was_given(name, tmp_path, monkeypatch, capsys):
    def full(folder, *_):
        hidden = None if name is None else str(folder / name)
        raise OSError(errno.ENOSPC, "No space left on device", hidden)

    monkeypatch.setattr(export, "_write", full)
    assert main(["world", "--export", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert f"mmlite: {tmp_path / 'out'}: No space left on device; check the path" in told
