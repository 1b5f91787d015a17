"""Runs of one process share encoded rows, and train on what they would have made themselves."""

from dataclasses import fields, replace

import pytest
from lightning import Callback
from tiny import tiny_examples, tiny_stage, tiny_trainer

from data_modules import Mixed, TextData, kept_rows
from data_modules.bad_rows import BadRows
from data_modules.batching import BatchBudget
from data_modules.kept_rows import KeptRows, rows_kept_for
from data_modules.sources import Source
from mmlite.errors import RowError
from mmlite.layout import Layout
from mmlite.processor import Encoded
from mmlite.records import Example, ImageRef, Turn

LAYOUTS = (Layout(3, 1, 2, height=3, width=6, out_height=3, out_width=6),)


def texts(number: int) -> list[Example]:
    """Tiny examples without their images, whose bytes would not be kept."""
    asked = Turn("user", "what is ?")
    return [replace(e, images=(), turns=(asked, e.turns[1])) for e in tiny_examples(number)]


class Counted(Source):
    """Examples whose rows say how often they were made."""

    name = "counted"

    def __init__(self, broken: int | None = None) -> None:
        self.made = 0
        self.broken = broken

    def rows(self, split):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index):
        self.made += 1
        if index == self.broken:
            raise RowError("counted row: got nothing", "malformed")
        return (texts(12)[index],)


class Seen(Callback):
    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch.input_ids.tolist())


def fit(folder, source: Counted, key: str | None, bad_rows: BadRows = BadRows()):  # noqa: B008
    stage, seen = tiny_stage(), Seen()
    mixed = [Mixed(source)]  # type: ignore[arg-type]
    data = TextData(stage.processor, train=mixed, budget=BatchBudget(4), bad_rows=bad_rows)
    if key is not None:
        data.share_rows(key)
    tiny_trainer(folder, max_steps=6, callbacks=[seen]).fit(stage, data)
    return seen.batches


@pytest.fixture(autouse=True)
def nothing_kept():
    rows_kept_for.cache_clear()
    yield
    rows_kept_for.cache_clear()


def test_a_second_run_trains_on_the_same_rows_and_makes_none(tmp_path):
    alone, first, second = Counted(), Counted(), Counted()
    expected = fit(tmp_path / "alone", alone, None)
    assert fit(tmp_path / "first", first, "same") == expected
    assert fit(tmp_path / "second", second, "same") == expected
    assert alone.made > first.made == 12  # two epochs of twelve rows
    assert second.made == 0


def test_other_data_are_not_shared(tmp_path):
    fit(tmp_path / "first", Counted(), "one")
    other = Counted()
    fit(tmp_path / "second", other, "other")
    assert other.made == 12


def test_what_cannot_be_used_is_noted_by_every_run(tmp_path):
    skip = BadRows(malformed="skip")
    for name in ("first", "second"):
        source = Counted(broken=3)
        fit(tmp_path / name, source, "same", skip)
        assert source.made > 0
        assert "counted row" in (tmp_path / name / "bad_rows.jsonl").read_text()


def test_rows_are_kept_while_there_is_room():
    stage = tiny_stage()
    rows = [stage.processor.encode_example(example) for example in texts(3)]
    sizes = [len(row.input_ids) for row in rows]
    kept = KeptRows(max_tokens=sizes[0] + sizes[1])
    for number, row in enumerate(rows):
        kept.put((0, number), row)
        kept.put((0, number), row)  # once more takes no room
    assert [kept.get((0, number)) for number in range(3)] == [rows[0], rows[1], None]


def test_processes_leave_their_rows_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_rows, "ROWS_AT_A_TIME", 2)
    image = ImageRef(scene={"objects": [["star", "red", "large", None, "top left"]], "seed": 1})
    rows = [
        Encoded((1, 2, number), (-100, 2, number), (image,), name=f"row {number}", layouts=LAYOUTS)
        for number in range(4)
    ]
    with_example = replace(rows[3], example=texts(1)[0])
    first, second = (KeptRows(folder=tmp_path) for _ in range(2))
    for number, row in enumerate((*rows[:3], with_example)):
        first.put((0, number), row)
    assert [second.get((0, number)) for number in range(4)] == [rows[0], rows[1], None, None]
    second.put((1, 0), rows[2])
    second.put((1, 1), rows[3])
    assert first.get((1, 1)) == rows[3]
    assert first.get((0, 3)) == with_example


def test_what_is_left_for_others_is_a_whole_row():
    left_out = {"example"}
    written = ["input_ids", "labels", "images", "name", "layouts"]
    assert {field.name for field in fields(Encoded)} == {*written, *left_out}
    row = Encoded((1,), (1,), (), name="row", layouts=LAYOUTS)
    _, *values = kept_rows._to_json((0, 0), row)
    assert len(values) == len(written)


def test_a_torn_line_of_a_killed_process_is_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_rows, "ROWS_AT_A_TIME", 1)
    row = Encoded((1, 2), (-100, 2), ())
    first, second = (KeptRows(folder=tmp_path) for _ in range(2))
    first.put((0, 0), row)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes() + b"[[0, 1], [1, 2\n[[0, 2], [1")
    assert [second.get((0, number)) for number in range(3)] == [row, None, None]


def test_rows_that_cannot_be_left_for_others_are_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(kept_rows, "ROWS_AT_A_TIME", 1)
    (tmp_path / "file").write_text("")
    kept, row = KeptRows(folder=tmp_path / "file" / "rows"), Encoded((1, 2), (-100, 2), ())
    for number in range(2):
        kept.put((0, number), row)
    assert kept.get((0, 1)) == row
    assert caplog.text.count("processes no more") == 1


def test_bytes_of_images_are_not_kept():
    stage = tiny_stage()
    row = stage.processor.encode_example(tiny_examples(1)[0])
    assert row.images[0].data is not None
    kept = KeptRows()
    kept.put((0, 0), row)
    assert kept.get((0, 0)) is None
