"""What watches the runs of a study."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from mmlite.study.observers import SharedData, report_part

CONFIG: dict[str, Any] = {
    "processor": {"class_path": "mmlite.processor.Processor", "init_args": {"max_tokens": 64}},
    "data": {"class_path": "data_modules.TextData", "init_args": {"seed": 0}},
    "model": {"class_path": "mmlite.stages.LanguagePretraining"},
}


def key_of(folder: Path, **changed: Any) -> str:
    """What a run with such a configuration tells its data module."""
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **changed}))
    told: list[tuple[str, Path | None]] = []
    data = SimpleNamespace(share_rows=lambda *given: told.append(given))
    trainer: Any = SimpleNamespace(datamodule=data, default_root_dir=str(folder))
    SharedData(folder / "rows").setup(trainer, None, "fit")  # type: ignore[arg-type]
    ((key, rows),) = told
    assert rows == folder / "rows"
    return key


def test_rows_are_shared_where_data_and_processor_are_the_same(tmp_path: Path) -> None:
    key = key_of(tmp_path)
    assert key_of(tmp_path, model={"class_path": "mmlite.stages.CaptionAlignment"}) == key
    assert key_of(tmp_path, data={**CONFIG["data"], "init_args": {"seed": 1}}) != key
    longer = {**CONFIG["processor"], "init_args": {"max_tokens": 65}}
    assert key_of(tmp_path, processor=longer) != key


def test_data_that_know_nothing_of_it_are_left_alone(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(datamodule=object(), default_root_dir=str(tmp_path))
    SharedData().setup(trainer, None, "fit")  # type: ignore[arg-type]


def test_parts_add_up_to_the_whole() -> None:
    told: list[tuple[int, int]] = []
    for number in range(2):
        for done in (0, 1, 3):
            report_part(lambda *far: told.append(far), number, 2, 100, done, 3)
    assert told == [(0, 200), (33, 200), (100, 200), (100, 200), (133, 200), (200, 200)]
