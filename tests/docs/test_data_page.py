"""`docs/data.md`: its files are what it shows, and every one of them trains."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from data_modules import Mixed, TextData
from data_modules.sources import Source
from data_modules.sources.tar_index import main as make_index
from mmlite.training import command

FILE = "file" + "://"
"""Scheme of shards that are read as if they were remote."""

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()
SHOWN = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
RUNS = sorted(SHOWN)

# The command quietens them itself, where pytest does not watch.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["make.py", "my"])
    runpy.run_path(str(ROOT / "docs/examples/data/make.py"), run_name="__main__")
    return tmp_path


def fit(path: str, *more: str) -> None:
    files = ["experiments/base.yaml", "docs/examples/data/model.yaml"]
    files += ["experiments/micro/sizes/a.yaml", path]
    given = [text for name in files for text in ("-c", str(ROOT / name))]
    command.run(["fit", *given, "--trainer.enable_progress_bar=false", *more])


def test_the_page_shows_every_file() -> None:
    folder = ROOT / "docs" / "examples" / "data"
    named = {f"docs/examples/data/{p.name}" for p in folder.glob("*.yaml")}
    assert set(RUNS) == named - {"docs/examples/data/model.yaml"}
    for path, text in SHOWN.items():
        assert text == (ROOT / path).read_text(), path


@pytest.mark.parametrize("path", RUNS)
def test_every_file_trains(path: str, folder: Path) -> None:
    fit(path)
    (run,) = (folder / "runs").iterdir()
    ledger = json.loads((run / "mixture.json").read_text())
    assert ledger["sources"][0]["rows"] == 40
    throughput = json.loads((run / "throughput.json").read_text())
    assert throughput["steps"] == 6
    assert (throughput["examples_per_row"] > 2) == path.endswith("mixture.yaml")


def test_shards_are_streamed_as_the_page_says(folder: Path) -> None:
    make_index(["my/shards/train-{000..003}.tar", "--out", "my/index.json"])
    source = "data.init_args.train"
    arguments = {
        "train": f"{FILE}{folder}/my/shards/train-{{000..003}}.tar",
        "index": "my/index.json",
        "cache_folder": "my/fetched",
        "shards_at_once": 2,
    }
    item = {
        "source": {"class_path": "data_modules.sources.WebDataset", "init_args": arguments},
    }
    fit("docs/examples/data/shards.yaml", f"--{source}={json.dumps([item])}")
    assert len(list((folder / "my/fetched").glob("*.tar"))) > 0


def test_the_source_on_the_page_is_one() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, type[Source]] = {}
    exec(code, namespace)
    from tiny import tiny_processor

    data = TextData(tiny_processor(), train=[Mixed(namespace["Sums"]())])
    assert sum(len(batch.input_ids) for batch in data.train_dataloader()) == 100
