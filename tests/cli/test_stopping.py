"""A run that is stopped from outside says how it goes on, and two runs keep out of one folder."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.commands import LANGUAGE, ROOT

from mmlite.cli.main import main
from mmlite.errors import Stopped
from mmlite.training.noise import Chatter
from mmlite.training.stopping import only_one

PROGRAM = "import sys; from mmlite.cli import main; sys.exit(main())"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ENDLESS = [*LANGUAGE[: LANGUAGE.index("--trainer.max_steps")], "--trainer.max_steps", "100000"]


@contextmanager
def started(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a Python program that Ctrl-C reaches, and let nothing of it outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while not path.exists():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_that_sigterm_stops_has_failed_and_says_how_it_goes_on(tmp_path, devices):
    keep = {"class_path": "mmlite.training.checkpoint.LastCheckpoint"}
    keep["init_args"] = {"dirpath": "run/checkpoints", "every_n_train_steps": 2}  # pyright: ignore
    given = [*ENDLESS, "--run", "run", "--trainer.callbacks", str([keep])]
    if devices > 1:
        given += ["--trainer.strategy", "ddp", "--trainer.devices", str(devices)]
        given += ["--trainer.accelerator", "cpu"]
    with started(PROGRAM, *given, folder=tmp_path) as process:
        wait_for(tmp_path / "run" / "checkpoints" / "last.ckpt", process)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=100)
    assert process.returncode == 143, told[-3000:]
    lines = [line for line in told.splitlines() if "SIGTERM" in line]
    goes_on = "the same command with --ckpt_path run/checkpoints/last.ckpt goes on"
    assert lines == [f"mmlite: stopped by SIGTERM; {goes_on}"]
    assert "Traceback" not in told
    assert not (tmp_path / "run" / "weights.safetensors").exists()


HELD = """\
import sys, time
from pathlib import Path
from mmlite.training.noise import Chatter
from mmlite.training.stopping import only_one
with only_one(Path(sys.argv[1])):
    Path(sys.argv[1], "held").touch()
    time.sleep(100)
"""


def test_two_runs_keep_out_of_one_folder_until_the_first_is_killed(tmp_path, refused, monkeypatch):
    with started(HELD, str(tmp_path), folder=tmp_path) as process:
        wait_for(tmp_path / "held", process)
        shown = refused([*LANGUAGE, "--run", str(tmp_path)])
        assert f"run: got {tmp_path}, which another mmlite fit is writing to, allowed: a" in shown
        assert "give another --run" in shown
        with monkeypatch.context() as other:
            other.setattr("mmlite.training.stopping.rank_zero_only.rank", 1)
            with only_one(tmp_path):
                pass  # another process of that very run
    with only_one(tmp_path):
        pass


def test_an_unfinished_run_that_begins_anew_says_how_it_goes_on(tmp_path, caplog):
    left = tmp_path / "checkpoints" / "last.ckpt"
    left.parent.mkdir()
    left.touch()
    with caplog.at_level("INFO"):
        assert main([*LANGUAGE, "--run", str(tmp_path)]) == 0
    told = [r.getMessage() for r in caplog.records if "begins anew" in r.getMessage()]
    holds = f"{tmp_path} holds an unfinished run, and this one begins anew there"
    assert told == [f"{holds}; --ckpt_path {left} goes on with it instead"]
    caplog.clear()
    with caplog.at_level("INFO"):
        assert main([*LANGUAGE, "--run", str(tmp_path), "--overwrite", "true"]) == 0
    assert "begins anew" not in caplog.text  # that one is finished


def test_a_stopped_run_is_no_failed_one(monkeypatch, capsys):
    def stopped(arguments):
        raise Stopped(told)

    monkeypatch.setattr("mmlite.training.command.run", stopped)
    told = "stopped by SIGTERM"
    assert main(["fit", "--run", "x"]) == 143
    assert capsys.readouterr().err == "mmlite: stopped by SIGTERM\n"
    told = ""  # the other processes of a run leave it to the first
    assert main(["fit", "--run", "x"]) == 143
    assert capsys.readouterr().err == ""


INTERRUPTED = """\
import signal, sys
from mmlite.cli import main
class Half:
    def find_spec(self, name, *more):
        if name == "mmlite.training.command":
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                raise ImportError("cannot load module more than once per process")
sys.meta_path.insert(0, Half())
sys.exit(main(["fit", "-c", "x.yaml"]))
"""


def test_ctrl_c_while_libraries_are_loaded_ends_with_one_line(tmp_path):
    with started(INTERRUPTED, folder=tmp_path) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = told.splitlines()
    assert line.startswith("mmlite: stopped by Ctrl-C; ")


def test_what_a_library_counts_as_python_ends_is_not_shown():
    name = "torch._subclasses.fake_tensor"
    record = logging.LogRecord(name, logging.INFO, "", 0, "  cache_hits: %s", (0,), None)
    assert not Chatter().filter(record)
    record.name = "mmlite"
    assert Chatter().filter(record)
