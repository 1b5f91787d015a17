"""Hugging Face data sets and parquet files, made here and read back without a network."""

from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from pyarrow import parquet
from tiny import png, tiny_processor

from data_modules import Mixed, QAData, TextData
from data_modules.mixture import Mixture
from data_modules.sources import Columns, HuggingFace, Parquet
from mmlite.errors import RowError
from mmlite.images import open_image
from mmlite.records import ImageRef

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning", "ignore:unclosed file:ResourceWarning"
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def talk(number: int) -> list[dict[str, str]]:
    return [
        {"from": "human", "value": f"<image>\nwhat is {number} ?"},
        {"from": "gpt", "value": "red ."},
    ]


def conversations(size: int) -> Dataset:
    rows = {
        "id": [f"c{n}" for n in range(size)],
        "image": [{"bytes": png(n), "path": f"{n}.png"} for n in range(size)],
        "conversations": [talk(n) for n in range(size)],
    }
    turn = {"from": Value("string"), "value": Value("string")}
    kinds = {"id": Value("string"), "image": Image(), "conversations": List(turn)}
    return Dataset.from_dict(rows, features=Features(kinds))


def write_parquet(path: Path, rows: list[dict], group: int) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)


def questions(start: int, size: int) -> list[dict]:
    return [
        {
            "question": f"what is {n} ?",
            "A": "red",
            "B": "blue",
            "answer": "B",
            "image": {"bytes": png(n), "path": None},
        }
        for n in range(start, start + size)
    ]


def test_a_saved_data_set_is_read_row_by_row(tmp_path):
    DatasetDict({"train": conversations(4), "test": conversations(2)}).save_to_disk(
        tmp_path / "set"
    )
    source = HuggingFace(str(tmp_path / "set"), train="train", test="test")
    rows = source.rows("train")
    assert [row[0].id for row in rows] == ["c0", "c1", "c2", "c3"]
    assert rows[2][0].turns[0].text == "<image>\nwhat is 2 ?"
    assert rows[2][0].images == (ImageRef(data=png(2)),)
    assert len(source.rows("test")) == 2
    with pytest.raises(ValueError, match="hugging_face: got split 'validation', allowed: train,"):
        source.rows("validation")
    assert source.describe("train")["fingerprint"]
    data = TextData(tiny_processor(), train=[Mixed(source)])
    assert sum(len(b.pixels) for b in data.train_dataloader()) == 4


@pytest.mark.parametrize("with_splits", [True, False], ids=["splits", "one"])
def test_a_saved_data_set_is_cut_by_slices(tmp_path, with_splits):
    saved = Dataset.from_dict({"caption": [f"c{n}" for n in range(7)]})
    saved = DatasetDict({"train": saved}) if with_splits else saved
    saved.save_to_disk(tmp_path / "set")

    def captions(split: str) -> list[str | None]:
        return [
            row[0].caption for row in HuggingFace(str(tmp_path / "set"), test=split).rows("test")
        ]

    train, validation = captions("train[:50%]"), captions("train[50%:]")
    assert train + validation == captions("train") == [f"c{n}" for n in range(7)]
    assert 3 <= len(train) <= 4
    assert captions("train[:1]+train[-1:]") == ["c0", "c6"]
    for unknown in ("nonsense", "test", "train["):
        with pytest.raises(ValueError, match=r"which cannot be loaded \(.*allowed: a local folder"):
            captions(unknown)


def test_training_on_the_rows_that_measure_is_told(tmp_path, caplog):
    Dataset.from_dict({"caption": ["a"]}).save_to_disk(tmp_path / "set")
    HuggingFace(str(tmp_path / "set"), train="train", validation="train")
    assert "train names the same rows (train) as validation or test" in caplog.text


def test_a_folder_of_parquet_files_is_a_data_set(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    write_parquet(folder / "train-00000.parquet", questions(0, 3), 2)
    write_parquet(folder / "train-00001.parquet", questions(3, 2), 2)
    source = HuggingFace(
        str(folder),
        train="train[1:]",
        columns=Columns(choices=["A", "B"]),
        cache_folder=str(tmp_path / "cache"),
    )
    rows = source.rows("train")
    assert [row[0].question for row in rows] == [f"what is {n} ?" for n in range(1, 5)]
    assert (rows[0][0].task, rows[0][0].answers) == ("multiple_choice", ("blue",))
    data = QAData(tiny_processor(), train=[Mixed(source)])
    assert sum(len(b.pixels) for b in data.train_dataloader()) == 4


def test_a_bad_row_of_a_data_set_is_named(tmp_path):
    Dataset.from_dict({"question": ["a ?", ""]}).save_to_disk(tmp_path / "set")
    source = HuggingFace(str(tmp_path / "set"), train="train")
    assert source.rows("train")[0]
    with pytest.raises(ValueError, match=r"set train row 1: got neither turns, question nor"):
        source.rows("train")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "/none/such"}, "got no split, allowed: at least one of train"),
        (
            {"path": "some/name", "train": "train", "image_root": "/none"},
            "hugging_face.image_root: got '/none', but there is no such folder",
        ),
        ({"path": "/none/such", "train": "train"}, "path: got '/none/such', but there is no such"),
    ],
)
def test_wrong_data_sets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HuggingFace(**arguments)


def test_a_data_set_that_cannot_be_loaded_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (str(tmp_path / "empty"), "nobody/nothing"):
        source = HuggingFace(path, train="train", cache_folder=str(tmp_path / "cache"))
        with pytest.raises(ValueError, match=r"which cannot be loaded .* allowed: a local folder"):
            source.rows("train")


def test_parquet_is_shuffled_by_row_groups(tmp_path):
    for number in range(3):
        write_parquet(tmp_path / f"part-{number}.parquet", questions(10 * number, 10), 5)
    source = Parquet(
        train=str(tmp_path / "part-{0..2}.parquet"),
        columns=Columns(choices=["A", "B"]),
        groups_at_once=2,
    )
    rows = source.rows("train")
    assert len(rows) == 30
    assert [rows[n][0].question for n in (0, 17, 29)] == [f"what is {n} ?" for n in (0, 17, 29)]
    assert (open_image(rows[17][0].images[0]) == open_image(ImageRef(data=png(17)))).all()
    mixture = Mixture([Mixed(source)], seed=0)
    order = mixture.order(0)[:, 1]
    assert sorted(order) == list(range(30))
    for start in (0, 10, 20):  # two groups of five rows at a time
        assert len({row // 5 for row in order[start : start + 10].tolist()}) == 2
    assert (order != mixture.order(1)[:, 1]).any()
    assert len(source._groups) <= 2


def test_parquet_beside_another_source_keeps_to_its_groups_and_limits(tmp_path):
    write_parquet(tmp_path / "a.parquet", questions(0, 40), 4)
    write_parquet(tmp_path / "b.parquet", questions(0, 40), 40)
    columns = Columns(choices=["A", "B"])
    near = Parquet(train=str(tmp_path / "a.parquet"), columns=columns, groups_at_once=1)
    other = Parquet(train=str(tmp_path / "b.parquet"), columns=columns, name="other")
    mixture = Mixture([Mixed(near, limit=12, weight=1.5), Mixed(other)], seed=1)
    own = [row for number, row in mixture.order(0).tolist() if number == 0]
    assert len(own) == 18
    assert len({row // 4 for row in own}) == 3  # a limit takes whole groups
    assert [len({row // 4 for row in own[n : n + 4]}) for n in (0, 4, 8)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "parquet: got no file, allowed: at least one of train"),
        ({"train": "none-*.parquet"}, r"parquet\.train: got 'none-\*\.parquet', which matches no"),
        ({"train": "x", "groups_at_once": 0}, "groups_at_once: got 0, allowed: 1 or more"),
        ({"train": "x", "image_root": "gone"}, "image_root: got 'gone', but there is no such"),
    ],
)
def test_wrong_parquet_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Parquet(**arguments)


def test_a_broken_parquet_file_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read .*, allowed: a parquet file"):
        Parquet(train=str(tmp_path / "a.parquet")).rows("train")


def test_a_damaged_row_group_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"question": ["what is it?" * 9] * 40, "answer": ["red"] * 40})
    parquet.write_table(table, path, compression="none", use_dictionary=False)
    stored = bytearray(path.read_bytes())
    stored[4:40] = b"\xff" * 36  # the head of its first page
    path.write_bytes(bytes(stored))
    rows = Parquet(train=str(path)).rows("train")
    with pytest.raises(RowError, match=r"rows\.parquet row group 0 row 0: cannot be read .*again"):
        rows[0]
