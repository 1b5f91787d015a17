"""Images: read safely, cut into tiles."""

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tiny import png

from mmlite.errors import RowError
from mmlite.images import ImageTransform, image_key, open_image, reading, resolve_inside
from mmlite.microworld import Picture, WorldConfig, draw_scene, render
from mmlite.records import ImageRef


def test_tiles_are_cut_in_reading_order_and_normalised():
    transform = ImageTransform(
        size_px=2, grid_rows=1, grid_columns=2, mean=(0, 0, 0), std=(1, 1, 1)
    )
    image = np.zeros((2, 4, 3), dtype=np.uint8)
    image[:, 2:] = 255
    tiles = transform(image)
    assert tiles.shape == (2, 3, 2, 2)
    assert tiles[0].max() == 0
    assert tiles[1].min() == pytest.approx(1)


def test_padding_keeps_the_aspect_ratio():
    transform = ImageTransform(size_px=8, mean=(0, 0, 0), std=(1, 1, 1), fit="pad")
    tiles = transform(np.full((4, 8, 3), 255, dtype=np.uint8))
    assert tiles[0, 0, 0].max() == 0
    assert tiles[0, 0, 4].min() == pytest.approx(1)


def test_a_broken_image_names_its_file(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png: cannot be read"):
        open_image(ImageRef(path=str(path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes of data: cannot be read"),
        (png(0)[:200], "200 bytes of data: cannot be read"),
        (png(0)[:40] + bytes(40) + png(0)[80:], "bytes of data: cannot be read"),
    ],
    ids=["empty", "cut", "damaged"],
)
def test_broken_bytes_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        open_image(ImageRef(data=content))


def test_a_missing_file_is_refused_where_it_is_read_and_where_it_is_hashed(tmp_path):
    ref = ImageRef(path=str(tmp_path / "none.png"))
    with pytest.raises(ValueError, match=r"none\.png: cannot be read .*No such file"):
        open_image(ref)
    with pytest.raises(ValueError, match=r"none\.png: cannot be read .*No such file"):
        image_key(ref, ImageTransform())


def test_an_image_is_read_from_the_middle_of_a_file(tmp_path):
    path, content = tmp_path / "shard.tar", png(3)
    path.write_bytes(b"before" + content + b"after")
    ref = ImageRef(path=str(path), span=(6, len(content)))
    assert (open_image(ref) == open_image(ImageRef(data=content))).all()
    with pytest.raises(RowError, match=r"shard\.tar at byte 7: cannot be read"):
        open_image(ImageRef(path=str(path), span=(7, 20)))


def test_every_refusal_says_of_which_kind_it_is(tmp_path, monkeypatch):
    def problem(read) -> str:
        with pytest.raises(RowError) as caught:
            read()
        return caught.value.problem

    gone = ImageRef(path=str(tmp_path / "none.png"))
    assert problem(lambda: open_image(gone)) == "unreadable_image"
    assert problem(lambda: resolve_inside(tmp_path, "none.png")) == "unreadable_image"
    assert problem(lambda: open_image(ImageRef(data=png(0)[:99]))) == "unreadable_image"
    monkeypatch.setattr(reading, "MAX_IMAGE_PIXELS", 9)
    assert problem(lambda: open_image(ImageRef(data=png(0)))) == "oversized_image"


def test_a_bomb_is_refused_before_it_unpacks():
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, format="PNG")
    assert len(buffer.getvalue()) < 100_000  # 400 million pixels in a small file
    with pytest.raises(RowError, match=r"cannot be read .*decompression bomb") as caught:
        open_image(ImageRef(data=buffer.getvalue()))
    assert caught.value.problem == "oversized_image"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    buffer = io.BytesIO()
    form = "TIFF" if mode == "CMYK" else "PNG"
    Image.new("RGB", (3, 2), (204, 204, 204)).convert(mode).save(buffer, format=form)
    assert open_image(ImageRef(data=buffer.getvalue())).tolist() == [[[204] * 3] * 3] * 2


def test_stretching_fills_the_tiles():
    transform = ImageTransform(size_px=4, grid_rows=2, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.zeros((2, 5, 3), dtype=np.uint8)
    image[1] = 255
    upper, lower = transform(image)
    assert upper[:, 0].max() == 0
    assert lower[:, -1].min() == pytest.approx(1)


def test_rows_of_tiles_come_before_columns():
    transform = ImageTransform(
        size_px=1, grid_rows=2, grid_columns=3, mean=(0, 0, 0), std=(1, 1, 1)
    )
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
    assert (transform(image)[:, 0, 0, 0] * 255).round().tolist() == [0, 1, 2, 3, 4, 5]


def test_a_grid_without_tiles_is_refused():
    with pytest.raises(ValueError, match=r"got size_px 16, grid 0 x 1, allowed: 1 or more each"):
        ImageTransform(size_px=16, grid_rows=0)


def test_a_huge_image_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="16 x 16 pixels, allowed: at most 100"):
        open_image(ImageRef(data=png(0)))


def test_sixteen_bits_are_scaled_to_eight():
    stored = io.BytesIO()
    Image.fromarray(np.full((2, 3), 130 * 256 + 7, np.uint16)).save(stored, "png")
    found = open_image(ImageRef(data=stored.getvalue()))
    assert found.shape == (2, 3, 3)
    assert (found == 130).all()


def test_paths_stay_inside_their_root(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "out.png")
    with pytest.raises(ValueError, match="leads out of the image root"):
        resolve_inside(tmp_path / "in", "../out.png")
    for path in (str(tmp_path / "out.png"), "a/../../out.png"):
        with pytest.raises(ValueError, match="leads out of the image root"):
            resolve_inside(tmp_path / "in", path)
    with pytest.raises(ValueError, match="there is no file"):
        resolve_inside(tmp_path, "missing.png")
    assert resolve_inside(tmp_path, "out.png") == tmp_path / "out.png"


def test_links_inside_a_root_are_followed_and_none_leads_around_it(tmp_path):
    root, elsewhere = tmp_path / "in", tmp_path / "far" / "coco"
    root.mkdir()
    elsewhere.mkdir(parents=True)
    for path in (elsewhere / "a.png", elsewhere.parent / "secret.png", root / "b.png"):
        path.write_bytes(png(0))
    (root / "coco").symlink_to(elsewhere)
    assert open_image(ImageRef(path=str(resolve_inside(root, "coco/a.png")))).shape == (16, 16, 3)
    assert resolve_inside(root, "coco/../b.png") == root / "b.png"
    with pytest.raises(RowError, match=r"secret\.png', but there is no file"):
        resolve_inside(root, "coco/../secret.png")


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a\0.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_an_unreadable_image(tmp_path, name):
    for read in (
        lambda: resolve_inside(tmp_path, name),
        lambda: open_image(ImageRef(path=str(tmp_path / name))),
    ):
        with pytest.raises(RowError, match="image") as caught:
            read()
        assert caught.value.problem == "unreadable_image"


def saved(image: Image.Image, form: str, **more) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **more)
    return buffer.getvalue()


def test_whatever_pillow_raises_is_an_unreadable_image(tmp_path, monkeypatch):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("a", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    picture = Image.new("RGB", (40, 40), (1, 2, 3))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    broken = {
        "bomb.png": saved(picture, "PNG", pnginfo=notes),
        "cut.qoi": saved(noise, "QOI")[:999],
        "cut.ppm": saved(picture, "PPM")[:99],
        "cut.bmp": saved(picture, "BMP")[:40],
        "cut.dds": saved(picture, "DDS")[:70],
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RowError, match=rf"{name}: cannot be read") as caught:
            open_image(ImageRef(path=str(tmp_path / name)))
        assert caught.value.problem == "unreadable_image"

    def fail(source):
        raise RuntimeError("Failed to decode image")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(RowError, match=r"9 bytes of data: cannot be read \(Failed to decode"):
        open_image(ImageRef(data=b"some AVIF"))


def test_values_without_a_scale_are_refused_and_sixteen_bits_of_pgm_are_not():
    for kind in (np.float32, np.int32):
        stored = saved(Image.fromarray(np.ones((2, 3), kind)), "TIFF")
        with pytest.raises(RowError, match=r"got 32 bits a pixel \(mode [FI]\)") as caught:
            open_image(ImageRef(data=stored))
        assert caught.value.problem == "unreadable_image"
    pgm = b"P5 3 2 65535\n" + np.full((2, 3), 130 * 256 + 7, ">u2").tobytes()
    assert (open_image(ImageRef(data=pgm)) == 130).all()


def test_an_edited_image_or_transform_has_another_key(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    before = image_key(ImageRef(path=str(path)), ImageTransform())
    assert before == image_key(ImageRef(data=png(1)), ImageTransform())
    assert before != image_key(ImageRef(path=str(path)), ImageTransform(size_px=32))
    path.write_bytes(png(2))
    assert before != image_key(ImageRef(path=str(path)), ImageTransform())


def test_bytes_that_are_no_image_show_no_object_of_python():
    with pytest.raises(RowError, match=r"3 bytes of data: cannot be read \(no image\); replace"):
        open_image(ImageRef(data=b"abc"))


def test_pictures_are_drawn_once_while_there_is_room(monkeypatch):
    picture = Picture(draw_scene(random.Random(0), WorldConfig()), 1, WorldConfig())
    others = [replace(picture, seed=seed) for seed in (2, 3)]
    drawings = reading._Drawings(room=2 * render(picture).nbytes)
    shown = [drawings.draw(other) for other in (picture, *others)]
    for drawing, drawn in zip(shown, (picture, *others), strict=True):
        np.testing.assert_array_equal(drawing, render(drawn))
        with pytest.raises(ValueError, match="read-only"):
            drawing[0, 0, 0] = 1
    assert drawings.draw(picture) is shown[0]
    assert drawings.draw(others[1]) is not shown[2]
