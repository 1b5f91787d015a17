"""Bad rows of every kind: a run stops at them, or leaves them out with a count, a list, a cap."""

import json
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet
from tiny import png, tiny_processor, tiny_stage, tiny_trainer

from callbacks import PredictionWriter
from data_modules import BadRows, Mixed, TextData
from data_modules.bad_rows import BadRowLog
from data_modules.batching import BatchBudget
from data_modules.sources import HuggingFace, LLaVA, Parquet, Source, WebDataset
from data_modules.sources.lazy import LazyRows
from mmlite.errors import RowError, RowProblem
from mmlite.generation import Decoding
from mmlite.records import Example, ImageRef, Turn

KINDS = tuple(get_args(RowProblem))


def example(name: str, *, text="<image>what ?", answer="red .", data: bytes | None = None):
    turns = (Turn("user", text), Turn("assistant", answer, trained=True))
    images = () if data is None else (ImageRef(data=data),)
    return Example(name, turns, images, source="rows", row=int(name[-1]))


def huge_png() -> bytes:
    """A small file that says it is an image of 9000 x 9000 pixels."""
    content = png(0)
    head = b"IHDR" + struct.pack(">II", 9000, 9000) + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


BAD = {
    "unreadable_image": example("r0", data=png(0)[:150]),
    "oversized_image": example("r5", data=huge_png()),
    "wrong_turns": RowError("rows row 6: got turns of assistant", "wrong_turns"),
    "wrong_placeholders": example("r1", text="no image", data=png(1)),
    "empty_answer": example("r2", answer=" ", data=png(2)),
    "too_long": example("r3", text="red " * 200),
    "malformed": Example("r4", (), source="rows", row=4),
}
GOOD = [example(f"good{n}", data=png(n)) for n in range(5)]


class Rows(Source):
    name = "rows"

    def __init__(self, examples):
        self.examples = examples

    def rows(self, split):
        return LazyRows(len(self.examples), self._row)

    def _row(self, number):
        found = self.examples[number]
        if isinstance(found, RowError):
            raise found
        return (found,)


def module(examples, policy: BadRows, *, workers: int = 0, **budget) -> TextData:
    budget = BatchBudget(**{"batch_size": 3, **budget})
    train = [Mixed(Rows(examples))]
    return TextData(
        tiny_processor(), train=train, bad_rows=policy, num_workers=workers, budget=budget
    )


@pytest.mark.parametrize(
    ("kind", "workers"), [*((kind, 0) for kind in KINDS), ("unreadable_image", 1)]
)
def test_each_kind_stops_a_run_with_one_message_or_is_left_out(kind, workers):
    rows = [*GOOD, BAD[kind]]
    with pytest.raises(
        ValueError, match=rf"rows row \d.*data\.bad_rows\.{kind} is fail; "
    ) as error:
        list(module(rows, BadRows(), workers=workers).train_dataloader())
    assert "Traceback" not in str(error.value)
    data = module(rows, replace(BadRows(), **{kind: "skip"}), workers=workers)
    assert sum(len(batch.input_ids) for batch in data.train_dataloader()) == len(GOOD)
    assert data.bad_rows.counts == {kind: 1}


def test_every_kind_has_a_policy_and_a_row_here():
    assert set(KINDS) == set(BAD) == set(vars(BadRows())) - {"max_skipped"}


@pytest.mark.parametrize("lines", [True, False])
def test_a_conversation_that_the_assistant_begins_is_left_out_if_asked(tmp_path, lines):
    talk = [{"from": "human", "value": "what ?"}, {"from": "gpt", "value": "red ."}]
    records = [{"conversations": turns} for turns in (talk, [talk[1], *talk], talk)]
    file = tmp_path / ("rows.jsonl" if lines else "rows.json")
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    file.write_text(text, encoding="utf-8-sig")  # with a byte order mark, as some tools write it
    train = [Mixed(LLaVA(str(tmp_path), train=str(file)))]
    data = TextData(tiny_processor(), train=train)
    place = "line 2" if lines else "row 1"
    with pytest.raises(ValueError, match=rf"{place}: .*turns of assistant.*wrong_turns is fail"):
        list(data.train_dataloader())
    data = TextData(tiny_processor(), train=train, bad_rows=BadRows(wrong_turns="skip"))
    assert sum(batch.num_sequences for batch in data.train_dataloader()) == 2
    assert data.bad_rows.counts == {"wrong_turns": 1}


def test_an_image_where_an_assistant_speaks_is_a_wrong_placeholder():
    turns = (Turn("user", "look"), Turn("assistant", "<image>", trained=True))
    row = Example("r9", turns, (ImageRef(data=png(0)),), source="rows", row=9)
    with pytest.raises(ValueError, match=r"rows row 9 \(r9\): turn 1: got <image> in what the ass"):
        list(module([row], BadRows()).train_dataloader())


def test_the_cap_stops_a_run_and_counts_each_row_once():
    rows = [BAD["too_long"], BAD["malformed"], *GOOD]
    policy = {"too_long": "skip", "malformed": "skip"}
    data = module(rows, replace(BadRows(max_skipped=2), **policy))
    loader = data.train_dataloader()
    for _ in range(3):  # epochs
        assert sum(len(batch.input_ids) for batch in loader) == len(GOOD)
    assert len(data.bad_rows) == 2
    with pytest.raises(
        ValueError, match=r"max_skipped allows 1, and so many .* before: 1 [a-z_]+;"
    ):
        list(module(rows, replace(BadRows(max_skipped=1), **policy)).train_dataloader())


@pytest.mark.parametrize("packed", [{}, {"pack_tokens": 40}], ids=["padded", "packed"])
def test_a_batch_of_lost_images_alone_is_still_a_batch(packed):
    rows = [example(f"r{n}", data=png(n)[:150]) for n in range(3)]
    data = module(rows, BadRows(unreadable_image="skip"), batch_size=3, **packed)
    batch = next(iter(data.train_dataloader()))
    assert (batch.num_supervised, len(batch.tile_order)) == (0, 0)
    stage = tiny_stage(processor=data.processor)
    stage.configure_model()
    total, count = stage.loss(batch)
    assert (total.item(), count) == (0, 0)


@pytest.mark.parametrize("kind", ["too_long", "unreadable_image", "malformed"])
def test_a_pass_without_one_good_row_stops_a_run(kind):
    policy = replace(BadRows(), **{kind: "skip"})
    data = module([BAD[kind]] * 2, policy)
    loader = data.train_dataloader()
    with pytest.raises(ValueError, match="got 2 rows, all of which were left out as bad ones"):
        list(loader)
    loader.load_state_dict({"epoch": 1, "start": 1})
    list(loader)  # who begins in the midst of an epoch knows nothing of its beginning
    unread = RowError("rows row 0: broken JSON", kind)
    data = TextData(tiny_processor(), validation=[Rows([unread])], bad_rows=policy)
    with pytest.raises(ValueError, match="got 1 rows, all of which were left out as bad ones"):
        data.val_dataloader()


def test_lost_images_leave_their_neighbors_in_a_packed_row():
    rows = [*GOOD, BAD["unreadable_image"]]
    data = module(rows, BadRows(unreadable_image="skip"), pack_tokens=200)
    (batch,) = data.train_dataloader()
    assert (batch.num_sequences, len(batch.tile_order)) == (5, 5)


def test_the_list_is_in_the_run_and_goes_on_when_resumed(tmp_path: Path):
    rows = [BAD["too_long"], *GOOD, BAD["unreadable_image"]]
    policy = BadRows(too_long="skip", unreadable_image="skip")
    data = module(rows, policy)
    trainer = tiny_trainer(tmp_path, max_steps=2, max_epochs=-1)
    trainer.fit(tiny_stage(processor=data.processor), data)
    listed = [json.loads(line) for line in (tmp_path / "bad_rows.jsonl").read_text().splitlines()]
    assert {row["problem"] for row in listed} == {"too_long", "unreadable_image"}
    assert all("rows row" in row["message"] for row in listed)
    again = module(rows, policy)
    again.load_state_dict(data.state_dict())
    again.bad_rows.write_to(tmp_path / "again", 0)
    copy = tmp_path / "again" / "bad_rows.jsonl"
    assert [json.loads(line) for line in copy.read_text().splitlines()] == listed


def test_what_is_asked_of_a_run_later_has_a_list_of_its_own(tmp_path: Path):
    (tmp_path / "bad_rows.jsonl").write_text("of the training\n")
    processor = tiny_processor()
    good = [replace(row, task="short_answer", answers=("red .",)) for row in GOOD]
    test: list[Source] = [Rows([BAD["too_long"], *good, BAD["unreadable_image"]])]
    policy = BadRows(too_long="skip", unreadable_image="skip")
    data = TextData(processor, test=test, bad_rows=policy)
    trainer = tiny_trainer(tmp_path, callbacks=[PredictionWriter()])
    stage = tiny_stage(processor=processor, decoding=Decoding(max_new_tokens=2))
    trainer.predict(stage, data, return_predictions=False)
    (written,) = (tmp_path / "predictions").iterdir()
    assert len(written.read_text().splitlines()) == len(GOOD)
    lines = (tmp_path / "bad_rows.predict.jsonl").read_text().splitlines()
    assert {json.loads(line)["problem"] for line in lines} == {"too_long", "unreadable_image"}
    assert (tmp_path / "bad_rows.jsonl").read_text() == "of the training\n"
    with pytest.raises(ValueError, match=r"data\.init_args\.test: got no sources.*to predict$"):
        trainer.predict(tiny_stage(processor=processor), TextData(processor))


def test_a_process_goes_on_from_its_own_list(tmp_path: Path):
    policy, path = BadRows(malformed="skip", max_skipped=2), tmp_path / "bad_rows.1.jsonl"
    log = BadRowLog(policy)
    log.write_to(tmp_path, 1)
    log.note(RowError("rows row 3 (\ud800\u2028): bad"))
    with path.open("a") as file:
        file.write('{"problem": "malf')  # torn by a kill
    again = BadRowLog(policy)
    again.load_state_dict([["malformed", "rows row 1: of the first process"]], rank=1)
    again.write_to(tmp_path, 1)
    for message in ("rows row 3 (\ud800\u2028): bad", "rows row 4: bad"):
        again.note(RowError(message))
    found = [json.loads(line)["message"] for line in path.read_text().strip().split("\n")]
    assert found == ["rows row 3 (\\ud800\u2028): bad", "rows row 4: bad"]
    with pytest.raises(ValueError, match="max_skipped allows 2"):
        again.note(RowError("rows row 5: bad"))
    fresh = BadRowLog(policy)
    fresh.write_to(tmp_path, 1)  # another run in the folder
    assert (len(fresh), path.read_text()) == (0, "")


def test_bad_rows_of_two_sources_of_one_name_are_two():
    unnamed = RowError("got nothing", "too_long")  # by a source that does not say of which row
    for bad in (BAD["too_long"], unnamed, example("r0", data=png(0)[:150])):
        train = [Mixed(Rows([bad, GOOD[0]])), Mixed(Rows([bad, GOOD[1]]))]
        policy = BadRows(too_long="skip", unreadable_image="skip", max_skipped=1)
        data = TextData(tiny_processor(), train=train, bad_rows=policy)
        with pytest.raises(
            ValueError, match=r"data\.train\[\d\] \(rows\) row 0.*max_skipped allows"
        ):
            list(data.train_dataloader())


@pytest.mark.parametrize(
    "bad",
    [
        example("r7", text="what \ud800 ?"),
        example("r7", text="what ?", answer="\ud800"),
        example("\ud800 7", text="what ?"),
    ],
    ids=["question", "answer", "id"],
)
def test_half_a_character_is_a_malformed_row(bad, tmp_path):
    data = module([*GOOD, bad], BadRows(malformed="skip"))
    data.bad_rows.write_to(tmp_path, 0)
    assert sum(len(batch.input_ids) for batch in data.train_dataloader()) == len(GOOD)
    (line,) = (tmp_path / "bad_rows.jsonl").read_text().splitlines()
    assert "rows row 7 (" in line
    assert "half of a character" in line


def test_rows_that_are_only_read_back_follow_the_policy_too():
    gone = RowError("rows row 9: no such file", "unreadable_image")
    rows = Rows([gone, BAD["empty_answer"], *GOOD])
    policy = BadRows(unreadable_image="skip", empty_answer="skip")
    data = TextData(tiny_processor(), validation=[rows], bad_rows=policy)
    assert sum(len(batch.input_ids) for batch in data.val_dataloader()) == len(GOOD)
    assert data.bad_rows.counts == {"unreadable_image": 1, "empty_answer": 1}
    assert len(data.held_out_examples("validation")) == len(GOOD) + 1
    data = TextData(tiny_processor(), validation=[rows])
    with pytest.raises(ValueError, match=r"rows row 9: no such file .*unreadable_image is fail"):
        data.val_dataloader()


@pytest.mark.parametrize("kind", ["llava", "parquet", "shards", "hugging_face"])
def test_the_file_is_named_also_for_what_is_noticed_late(kind, tmp_path):
    talk = [{"from": "human", "value": "<image>red"}, {"from": "gpt", "value": "red " * 200}]
    record = {"conversations": talk}
    (tmp_path / "a.png").write_bytes(png(0))
    if kind == "llava":
        file = tmp_path / "rows.jsonl"
        file.write_text(json.dumps({**record, "image": "a.png"}))
        source, place = LLaVA(str(tmp_path), train=str(file)), r"rows\.jsonl line 1 \(llava-0\)"
    elif kind == "shards":
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            (tmp_path / "a.json").write_text(json.dumps(record))
            for name in ("a.json", "a.png"):
                archive.add(tmp_path / name, name)
        source, place = WebDataset(train=str(tmp_path / "a.tar")), r"a\.tar sample 0 \(a\)"
    else:
        table = pa.Table.from_pylist([{**record, "image": png(0)}])
        file = tmp_path / "rows.parquet"
        parquet.write_table(table, file)
        source, place = Parquet(train=str(file)), r"rows\.parquet row group 0 row 0 \(parquet-0\)"
        if kind == "hugging_face":
            Dataset.from_parquet(str(file), cache_dir=str(tmp_path)).save_to_disk(tmp_path / "set")
            source = HuggingFace(str(tmp_path / "set"), train="train")
            place = r"set train row 0 \(hugging_face-0\)"
    with pytest.raises(ValueError, match=rf"{place}: got \d+ tokens"):
        list(TextData(tiny_processor(), train=[Mixed(source)]).train_dataloader())


def test_whether_the_number_of_batches_is_known():
    assert len(module(GOOD, BadRows()).train_dataloader()) == 2
    with pytest.raises(TypeError, match="depends on what is in them"):
        len(module(GOOD, BadRows(too_long="skip")).train_dataloader())
    assert len(module(GOOD, BadRows(too_long="skip", max_skipped=0)).train_dataloader()) == 2


def test_a_negative_cap_is_refused():
    with pytest.raises(ValueError, match=r"bad_rows\.max_skipped: got -1, allowed: 0 or more"):
        BadRows(max_skipped=-1)
