"""Images stay where the source has them, or are written once each."""

import io

import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from synthesis.made import SHORT, asked, lines, llava, spec_file, synthesize, talk
from tiny import png

from data_modules.sources import LLaVA
from mmlite.images import open_image
from mmlite.records import ImageRef
from mmlite.synthesis.images import ImagePlaces, shown


def test_images_as_bytes_are_written_once_each(tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(jpeg, format="JPEG")
    rows = [
        {"question": "Is it red?", "answer": "no", "images": [png(0), png(1)]},
        {"question": "Is it red?", "answer": "no", "images": [png(1), jpeg.getvalue()]},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "qa.parquet")
    arguments = {"train": str(tmp_path / "qa.parquet")}
    source = {"class_path": "data_modules.sources.Parquet", "init_args": arguments}
    assert synthesize(spec_file(tmp_path, source), tmp_path / "out") == 0
    out = tmp_path / "out"
    written = sorted(path.suffix for path in (out / "images").iterdir())
    assert written == [".jpeg", ".png", ".png"]
    first, second = (
        row[0] for row in LLaVA(str(out), train=f"{out}/extraction.jsonl").rows("train")
    )
    assert first.images[1] == second.images[0]
    assert (open_image(first.images[0]) == open_image(ImageRef(data=png(0)))).all()
    assert (open_image(second.images[1]) == open_image(ImageRef(data=jpeg.getvalue()))).all()
    assert "image_root: FOLDER\n" in (out / "README.md").read_text()


def test_drawn_pictures_are_written_and_their_questions_share_a_row(tmp_path):
    arguments = {"num_images": 2, "rows_per_image": 1, "questions_per_row": 3}
    source = {"class_path": "data_modules.sources.MicroWorld", "init_args": arguments}
    spec = spec_file(tmp_path, source, checks={"leaks": False})
    assert synthesize(spec, tmp_path / "out") == 0
    records = lines(tmp_path / "out" / "extraction.jsonl")
    assert len(records) == len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert any("Question #2:" in text for role, text, *_ in asked(tmp_path))
    assert records[0]["mmlite"]["scene"]["objects"]


def test_paths_under_the_root_are_kept_and_nothing_is_written(tmp_path):
    source = llava(tmp_path, [talk("a", ["0.png"], *SHORT)])
    assert synthesize(spec_file(tmp_path, source), tmp_path / "out") == 0
    assert not (tmp_path / "out" / "images").exists()
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"image_root: {tmp_path / 'images'}\n" in card


def test_one_image_that_is_elsewhere_brings_all_into_the_folder(tmp_path):
    (tmp_path / "root").mkdir()
    inside, outside = tmp_path / "root" / "a.png", tmp_path / "b.png"
    inside.write_bytes(png(0))
    outside.write_bytes(b"before" + png(1) + b"behind")
    refs = [ImageRef(path=str(inside))]
    places = ImagePlaces(tmp_path / "out", tmp_path / "root")
    places.notice(refs)
    assert (places.root, places.path(refs[0])) == (tmp_path / "root", "a.png")
    part = ImageRef(path=str(outside), span=(6, len(png(1))))
    places.notice([part])
    assert places.root == tmp_path / "out"
    assert places.path(refs[0]).startswith("images/")
    assert (tmp_path / "out" / places.path(part)).read_bytes() == png(1)


def test_images_are_stretched_whatever_their_shape():
    wide = ImageRef(data=png(0, 16, 48))
    assert shown([wide], None) == (wide,)
    (square,) = shown([wide], 32)
    assert open_image(square).shape == (32, 32, 3)
    assert shown([wide], 32) == (square,), "equal bytes each time"
