"""WebDataset shards: local ones in place, others fetched a few at a time; bad ones refused."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from tiny import png, tiny_processor

import data_modules
from data_modules import BadRows, CaptionData, Mixed, TextData
from data_modules.mixture import Mixture
from data_modules.sources import Parquet, WebDataset
from data_modules.sources.files import expand
from data_modules.sources.shard_index import read_index
from data_modules.sources.tar_index import main
from data_modules.sources.tar_shards import fetch
from mmlite.images import open_image
from mmlite.records import ImageRef

FILE = "file" + "://"
"""Scheme of shards that are read as if they were remote."""

PER_SHARD = 6


def write_tar(path: Path, files: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def talk(number: int) -> bytes:
    turns = [
        {"from": "human", "value": f"<image>\nwhat is {number} ?"},
        {"from": "gpt", "value": "red ."},
    ]
    return json.dumps({"conversations": turns, "image": "its/old/name.png"}).encode()


def write_shards(folder: Path, number: int) -> str:
    folder.mkdir(exist_ok=True)
    for shard in range(number):
        files = []
        for row in range(shard * PER_SHARD, (shard + 1) * PER_SHARD):
            files += [(f"sub/{row:04d}.png", png(row)), (f"sub/{row:04d}.json", talk(row))]
        write_tar(folder / f"train-{shard:03d}.tar", files)
    return str(folder / f"train-{{000..{number - 1:03d}}}.tar")


def test_samples_of_local_shards_stay_where_they_are(tmp_path):
    source = WebDataset(train=write_shards(tmp_path / "shards", 3))
    rows = source.rows("train")
    assert len(rows) == 18
    (example,) = rows[7]
    assert (example.id, example.row, example.question) == ("sub/0007", 7, "what is 7 ?")
    (image,) = example.images
    assert image.span is not None
    assert (open_image(image) == open_image(ImageRef(data=png(7)))).all()
    assert [t.text for t in example.turns] == ["<image>\nwhat is 7 ?", "red ."]
    data = TextData(tiny_processor(), train=[Mixed(source)], num_workers=1)
    assert sum(len(b.pixels) for b in data.train_dataloader()) == 18


def test_shards_are_shuffled_few_at_a_time(tmp_path):
    source = WebDataset(train=write_shards(tmp_path / "shards", 6), shards_at_once=2)
    mixture = Mixture([Mixed(source)], seed=0)
    order = mixture.order(0)[:, 1].tolist()
    assert sorted(order) == list(range(36))
    groups = [{row // PER_SHARD for row in order[n : n + 12]} for n in (0, 12, 24)]
    assert [len(group) for group in groups] == [2, 2, 2]
    assert order[:12] != sorted(order[:12])


def test_remote_shards_are_fetched_a_few_at_a_time(tmp_path):
    names = write_shards(tmp_path / "far", 6)
    urls = f"{FILE}{names}"
    main([names, "--out", str(tmp_path / "index.json")])
    cache = tmp_path / "cache"
    source = WebDataset(
        train=urls,
        index=str(tmp_path / "index.json"),
        cache_folder=str(cache),
        cache_shards=2,
        shards_at_once=2,
    )
    data = TextData(tiny_processor(), train=[Mixed(source)])
    most, images, names_seen = 0, 0, set()
    for batch in data.train_dataloader():
        images += len(batch.pixels)
        there = {path.name for path in cache.glob("*.tar")}
        most, names_seen = max(most, len(there)), names_seen | there
    assert (images, most) == (36, 2)
    local = WebDataset(train=names)
    for row in (0, 20, 35):
        (far,), (near,) = source.rows("train")[row], local.rows("train")[row]
        assert (far.id, far.turns) == (near.id, near.turns)
        assert (open_image(far.images[0]) == open_image(near.images[0])).all()
    assert list(cache.glob("*.part")) == []


def test_two_processes_may_share_the_fetched_shards(tmp_path):
    names = write_shards(tmp_path / "far", 3)
    main([names, "--out", str(tmp_path / "index.json")])
    made = [
        WebDataset(
            train=f"{FILE}{names}",
            index=str(tmp_path / "index.json"),
            cache_folder=str(tmp_path / "cache"),
            cache_shards=1,
            shards_at_once=1,
        ).rows("train")
        for _ in range(2)
    ]
    first = made[0][0][0]
    assert made[1][1][0].id == "sub/0001"
    assert made[1][17][0].id == "sub/0017"  # the first shard is deleted, but open elsewhere
    assert made[0][2][0].id == "sub/0002"
    assert made[0][0][0] == first


def test_an_image_and_a_text_are_a_caption(tmp_path):
    files = [("a.jpg", png(1)), ("a.txt", b" a red hat \n"), ("b.0.png", png(2))]
    files += [("b.1.png", png(3)), ("b.json", b'{"caption": "two", "id": 5}'), ("__x.txt", b"")]
    write_tar(tmp_path / "a.tar", files)
    source = WebDataset(train=str(tmp_path / "*.tar"))
    (one,), (two,) = source.rows("train")
    assert (one.id, one.caption, one.task, len(one.images)) == ("a", "a red hat", "caption", 1)
    assert (two.id, two.caption, len(two.images)) == ("5", "two", 2)
    assert len(list(CaptionData(tiny_processor(), train=[Mixed(source)]).train_dataloader())) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a.json", b"{")], r"a\.tar sample 0: json: got invalid JSON"),
        ([("a.json", b"[]")], "json: got list, allowed: an object"),
        ([("a.txt", b"\xff")], "txt: got no UTF-8 text"),
        ([("a.jpg", png(0))], "got neither turns, question nor caption"),
    ],
)
def test_bad_samples_name_their_shard(tmp_path, files, message):
    write_tar(tmp_path / "a.tar", files)
    with pytest.raises(ValueError, match=message):
        WebDataset(train=str(tmp_path / "a.tar")).rows("train")[0]


def test_a_broken_image_in_a_shard_may_be_left_out(tmp_path):
    files = [
        (f"{n}.{kind}", data)
        for n in range(3)
        for kind, data in [("png", png(n)[: 100 if n == 1 else None]), ("json", talk(n))]
    ]
    write_tar(tmp_path / "a.tar", files)
    train = [Mixed(WebDataset(train=str(tmp_path / "a.tar")))]
    policy = BadRows(unreadable_image="skip")
    data = TextData(tiny_processor(), train=train, bad_rows=policy, num_workers=1)
    assert sum(len(b.pixels) for b in data.train_dataloader()) == 2
    assert data.bad_rows.counts == {"unreadable_image": 1}


def test_broken_shards_are_refused(tmp_path):
    names = write_shards(tmp_path / "shards", 2)
    path = tmp_path / "shards" / "train-001.tar"
    content = path.read_bytes()
    for broken in (content[:2560], content[:3000], content[:2000], b"x" * 5000, b""):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"train-001\.tar: cannot be read .*uncompressed tar"):
            WebDataset(train=names).rows("train")


@pytest.mark.parametrize("name", ["1.json", "1.JSON"])
def test_two_files_of_one_name_in_a_sample_are_refused(tmp_path, name):
    write_tar(tmp_path / "a.tar", [("1.json", talk(1)), (name, talk(2)), ("2.json", talk(3))])
    with pytest.raises(ValueError, match=rf"a\.tar: got {name} beside another json of its"):
        WebDataset(train=str(tmp_path / "a.tar")).rows("train")


def test_no_module_loads_the_command_that_writes_an_index():
    """Python would warn of it, each time the command is given."""
    sources = Path(data_modules.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "tar_index import" in path.read_text()]


def test_an_index_that_is_out_of_date_is_noticed(tmp_path):
    names = write_shards(tmp_path / "shards", 1)
    index = tmp_path / "index.json"
    index.write_text('{"shardlist": [{"url": "x/train-000.tar", "nsamples": 7}]}')
    rows = WebDataset(train=names, index=str(index)).rows("train")
    assert len(rows) == 7
    with pytest.raises(ValueError, match="sample 6: got 6 samples, allowed: as many as the index"):
        rows[6]
    with pytest.raises(ValueError, match=r"index\.json has no other\.tar, allowed: an index of"):
        read_index(index, ["other.tar"])
    index.write_text("[]")
    with pytest.raises(ValueError, match=r"cannot be read .* allowed: a shard index of wids"):
        read_index(index, ["other.tar"])


def test_a_shard_that_cannot_be_fetched_stops_the_run(tmp_path, monkeypatch):
    names = write_shards(tmp_path / "far", 1)
    main([names, "--out", str(tmp_path / "index.json")])
    (tmp_path / "far" / "train-000.tar").unlink()
    source = WebDataset(
        train=f"{FILE}{names}",
        index=str(tmp_path / "index.json"),
        cache_folder=str(tmp_path / "cache"),
    )
    skip_all = BadRows(malformed="skip", max_skipped=1000)
    data = TextData(tiny_processor(), train=[Mixed(source)], bad_rows=skip_all)
    with pytest.raises(ConnectionError, match=r"train-000\.tar: cannot be fetched"):
        next(iter(data.train_dataloader()))


def test_what_a_protocol_raises_of_its_own_is_tried_again_and_told(tmp_path, monkeypatch):
    class ServerError(Exception):
        pass

    tries = []

    def fails(url):
        tries.append(url)
        raise ServerError("503, message='Slow Down'")

    monkeypatch.setattr("fsspec.core.url_to_fs", fails)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ConnectionError, match=r"x/a\.tar: cannot be fetched \(503, message"):
        fetch("https://x/a.tar", tmp_path / "a.tar")
    assert len(tries) == 3
    with pytest.raises(ValueError, match=r"https://x/a\.parquet cannot be read \(503, message"):
        Parquet(train="https://x/a.parquet").rows("train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "web_dataset: got no shards, allowed: at least one of train"),
        ({"train": "gone.tar"}, r"got gone\.tar, but there is no such file"),
        ({"train": "http://x/a.tar"}, "cache_folder: got null for http.*index: got null for http"),
        ({"train": [], "test": "x"}, r"web_dataset\.train: got no files, allowed: at least one"),
        (
            {"train": "http://x/a.tar", "shards_at_once": 9, "cache_shards": 8},
            "shards_at_once: got 9, allowed: 1 to cache_shards 8",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WebDataset(**arguments)


def test_braces_count_and_list():
    assert expand("s3://a/{08..11}-{x,y}.tar", "train")[:3] == [
        "s3://a/08-x.tar",
        "s3://a/08-y.tar",
        "s3://a/09-x.tar",
    ]
    assert len(expand("s3://a/{08..11}-{x,y}.tar", "train")) == 8
