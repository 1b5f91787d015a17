from pathlib import Path

import pytest
from made_study import make_study_folder

from mmlite.analysis import make_report


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up study of one seed with its report."""
    folder = make_study_folder(tmp_path_factory.mktemp("one") / "study")
    make_report(folder)
    return folder


@pytest.fixture(scope="session")
def reported_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up study of two seeds with its report."""
    folder = make_study_folder(tmp_path_factory.mktemp("two") / "study", seeds=(0, 1), per_kind=6)
    make_report(folder)
    return folder
