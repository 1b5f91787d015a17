"""The examples of docs/ablations.md, run as it tells, from a folder outside the project."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mmlite.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "ablations.md").read_text()
RUNS = sorted(
    path for path in EXAMPLES.glob("*.yaml") if "# Run: " in path.read_text() and path.name in PAGE
)
LEARNT = {
    "gated_projector": "projector.gate.weight",
    "smoothed_tuning": "projector.layers.1.weight",
    "short_prompts_run": "projector.layers.1.weight",
    "csv_questions": "projector.layers.1.weight",
}


def command(path: Path) -> str:
    found = re.search(r"^# Run: (.*)$", path.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with the examples in it, which the command is given in."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def test_there_is_an_example_of_each_kind() -> None:
    assert {path.stem for path in RUNS} == LEARNT.keys()


@pytest.mark.parametrize("example", RUNS, ids=lambda path: path.stem)
def test_example_trains_two_steps(example: Path, mine: Path) -> None:
    program, *arguments = shlex.split(command(example))
    assert program == "mmlite"
    arguments = [a.replace("../../experiments", str(ROOT / "experiments")) for a in arguments]
    arguments += ["--trainer.max_steps", "2", "--trainer.enable_progress_bar", "false"]
    assert main([*arguments, "--run", str(mine / "run")]) == 0
    assert LEARNT[example.stem] in load_file(mine / "run" / "weights.safetensors")
    assert json.loads((mine / "run" / "throughput.json").read_text())["steps"] == 2
    record = (mine / "run" / "config.yaml").read_text()
    if (mine / f"{example.stem}.py").is_file():
        assert f"class_path: {example.stem}." in record
        module = sys.modules.pop(example.stem)
        assert Path(str(module.__file__)).parent == mine


def test_the_prompt_of_ones_own_is_asked(mine: Path) -> None:
    from data_modules import ExtractionData
    from data_modules.sources import MicroWorld
    from mmlite.processor import Processor
    from mmlite.tokenizers import micro_tokenizer

    data = ExtractionData(Processor(micro_tokenizer()), prompts="short_prompts.yaml")
    ((example,), *_) = MicroWorld(held_out_per_kind=1).rows("test")
    user = data.compose((example,)).turns[0].text
    assert user == f"<image>look {example.question}"


@pytest.mark.parametrize("example", RUNS, ids=lambda path: path.stem)
def test_page_shows_the_files_and_their_commands(example: Path) -> None:
    assert command(example) in PAGE
    body = re.sub(r"\A(#.*\n)+", "", example.read_text()).rstrip()
    assert f"```yaml\n{body}\n```" in PAGE


def test_python_on_the_page_is_that_of_the_files() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    sources = [path.read_text() for path in EXAMPLES.glob("*.py")]
    for block in blocks:
        assert any(block in source for source in sources), block


def test_the_reasoner_answers_and_is_reported(mine: Path) -> None:
    code = [sys.executable, "counting_reasoner.py", "runs/counting"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert main(["report", "runs/counting"]) == 0
    with (mine / "runs" / "counting" / "results.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["reasoner"], first["n"], first["accuracy"]) == ("counting", "20", "1.0")


OWN_TASK = """\
from mmlite.tasks import Task


class Contains(Task):
    name = "contains"

    def parse(self, text, example):
        return text.strip() or None

    def score(self, parsed, example):
        return float(any(answer in parsed for answer in example.answers))
"""


def test_a_task_of_ones_own_is_named_by_a_source(mine: Path) -> None:
    (mine / "own_task.py").write_text(OWN_TASK)
    turns = [{"from": "human", "value": "what ?"}, {"from": "gpt", "value": "red"}]
    rows = [{"id": str(number), "conversations": turns} for number in range(4)]
    (mine / "rows.json").write_text(json.dumps(rows))
    given = {"image_root": ".", "train": "rows.json", "validation": "rows.json"}
    given["task"] = "own_task.Contains"
    source = {"class_path": "data_modules.sources.LLaVA", "init_args": given}
    experiments = ROOT / "experiments"
    files = [experiments / "base.yaml", experiments / "micro" / "language.yaml"]
    files += [experiments / "micro" / "sizes" / "a.yaml", experiments / "overlays" / "debug.yaml"]
    arguments = [
        *("fit", *(part for file in files for part in ("-c", str(file))), "--run", "run"),
        *("--data", "data_modules.QAData"),
        *("--data.init_args.train", json.dumps([{"source": source}])),
        *("--data.init_args.validation", json.dumps([source])),
    ]
    assert main(arguments) == 0
    sys.modules.pop("own_task")
