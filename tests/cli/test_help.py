"""Help is answered at once: without PyTorch; and the exit status tells what went wrong."""

import subprocess
import sys

import pytest

from mmlite.cli.main import COMMANDS, main

HEAVY = ("torch", "lightning", "transformers", "timm", "jsonargparse", "matplotlib", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], [], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from mmlite.cli import main\n"
        f"status = main({arguments})\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: mmlite")


def test_the_process_of_a_study_loads_no_pytorch():
    modules = "cli.studies, mmlite.study.preflight, mmlite.study.runner, mmlite.study.pool"
    code = f"import sys, mmlite.{modules}; sys.exit(int('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


def test_overview_is_a_table_of_all_commands(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name}" in shown
        assert command.summary in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_usage(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"mmlite {name}" in capsys.readouterr().out
    assert main([name]) == 2, "nothing was asked for"


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mmlite 0.")


def test_unknown_command_names_the_nearest(capsys):
    assert main(["stduy"]) == 2
    told = capsys.readouterr().err
    assert "got command 'stduy'" in told
    assert "did you mean study?" in told


def test_ctrl_c_is_status_130(monkeypatch, capsys):
    from mmlite.cli import studies

    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "run", stop)
    assert main(["study", "x.yaml"]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_ctrl_c_that_lightning_turned_into_an_exit_is_status_130(monkeypatch, capsys):
    from mmlite.cli import studies

    def stop(arguments):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(studies, "run", stop)
    assert main(["study", "x.yaml"]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_an_error_of_ours_shows_its_traceback():
    """Only what a user can cause is shortened; the rest must stay findable."""
    from mmlite.cli import studies

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "run", lambda arguments: [][1])
        with pytest.raises(IndexError):
            main(["study", "x.yaml"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fit", "go on with a killed run from its checkpoint"),
        ("validate", "measure this checkpoint, not what the run left"),
        ("predict", "answer with this checkpoint, not with what the run left"),
    ],
)
def test_a_checkpoint_is_for_what_the_command_does(name, told, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"--ckpt_path FILE           {told}\n" in shown
    assert ("--overwrite true" in shown) == (name == "fit")
