"""Studies that several tests look at: run once."""

from pathlib import Path

import pytest
from study.studies import ROOT, run_here, small_study


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small study, run without a break or a worker process: its file and its folder."""
    folder = tmp_path_factory.mktemp("small")
    study = small_study(folder)
    run_here(study, folder / "out")
    return study, folder / "out"


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `experiments/micro/smoke.yaml`, run whole, without a worker process."""
    out = tmp_path_factory.mktemp("smoke") / "out"
    run_here(ROOT / "experiments" / "micro" / "smoke.yaml", out)
    return out
