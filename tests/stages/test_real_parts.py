"""The parts in experiments/parts, shrunken to local folders: composed, trained and asked."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_folders import SIGLIP, SIGLIP_ARGS, save_qwen, save_siglip
from safetensors.torch import load_file
from tiny import png

from mmlite.generation import Decoding, Engine, Request
from mmlite.images import AnyRes, ImageTransform
from mmlite.records import ImageRef, Turn
from mmlite.runs import load_run
from mmlite.training.command import run

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "experiments" / "parts"
RUN = Path(__file__).with_name("real_model.yaml")
SIZES = ["0.6b", "1.7b", "4b", "8b"]


def write_rows(folder: Path) -> None:
    """One image, two images, none: in LLaVA's format."""
    rows = []
    for number, shapes in enumerate([[(40, 90)], [(42, 42), (60, 30)], [], [(30, 30)]]):
        names = []
        for place, shape in enumerate(shapes):
            names.append(f"{number}-{place}.png")
            (folder / names[-1]).write_bytes(png(number, *shape))
        asked = "<image>\n" * len(names) + "what is it?"
        said = [{"from": "human", "value": asked}, {"from": "gpt", "value": "a cat"}]
        rows.append({"id": str(number), "image": names, "conversations": said})
    (folder / "train.json").write_text(json.dumps(rows))


def shrunken(folder: Path, resolution: str, size: str) -> list[str]:
    """Flags that put tiny parts, saved as published ones are, into the run of the docs."""
    qwen, siglip = save_qwen(folder / "qwen"), save_siglip(folder / "siglip.safetensors")
    overlay: dict[str, Any] = {
        "run": str(folder / "run"),
        "processor": {
            "init_args": {
                "tokenizer": {"init_args": {"name": str(qwen)}},
                "image": {"init_args": {"size_px": 42}},
                "tokens_per_tile": 9,
            }
        },
        "model": {
            "init_args": {
                "language": {"init_args": {"name": str(qwen)}},
                "vision": {
                    "init_args": {
                        "model_name": SIGLIP,
                        "pretrained": False,
                        "weights": str(siglip),
                        "model_args": SIGLIP_ARGS,
                    }
                },
                "decoding": None,
            }
        },
        "trainer": {
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "callbacks": [],
        },
    }
    given = str(folder / "train.json")
    source = {"class_path": "data_modules.sources.LLaVA"}
    rows = {"source": {**source, "init_args": {"image_root": str(folder), "train": given}}}
    overlay["data"] = {"init_args": {"train": [rows]}}
    parts = {
        "processor": str(PARTS / f"qwen3_siglip_{resolution}.yaml"),
        "model": {"init_args": {"language": str(PARTS / f"qwen3_{size}.yaml")}},
    }
    flags = []
    for name, content in (("parts", parts), ("shrunken", overlay)):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        flags += ["-c", str(path)]
    return flags


@pytest.mark.parametrize(
    ("resolution", "kind", "size"),
    [("anyres", AnyRes, "0.6b"), ("fixed", ImageTransform, "1.7b")],
)
def test_a_run_of_the_real_parts_trains_and_answers(tmp_path, resolution, kind, size):
    write_rows(tmp_path)
    files = [ROOT / "experiments" / "base.yaml", RUN]
    flags = [flag for file in files for flag in ("-c", str(file))]
    with warnings.catch_warnings():  # of the libraries under the command line, which quietens them
        warnings.simplefilter("ignore")
        run(["fit", *flags, *shrunken(tmp_path, resolution, size)])
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert ("projector.image_newline" in weights) is (resolution == "anyres")
    # The last of SigLIP's three layers is left out; pooling and normalisation too.
    blocks = {name.split(".")[3] for name in weights if name.startswith("vision.encoder.blocks")}
    assert blocks == {"0", "1"}
    assert not any("attn_pool" in name or "encoder.norm" in name for name in weights)

    stage = load_run(tmp_path / "run")
    processor = stage.processor
    assert type(processor.image) is kind
    assert processor.vocabulary_size <= 320
    engine = Engine(stage.built, processor)  # pyright: ignore[reportArgumentType]
    asked = Turn("user", "<image>\nwhat is it?")
    request = Request((asked,), (ImageRef(data=png(7, 50, 20)),))
    assert len(engine.generate([request], Decoding(max_new_tokens=3))) == 1


@pytest.mark.parametrize("size", SIZES)
def test_sizes_differ_in_their_language_model_alone(size):
    part = yaml.safe_load((PARTS / f"qwen3_{size}.yaml").read_text())
    assert part == {
        "class_path": "mmlite.models.PretrainedLanguageModel",
        "init_args": {"name": f"Qwen/Qwen3-{size.upper()}"},
    }


def test_the_page_shows_this_run():
    body = RUN.read_text().split("\n", 1)[1].replace("../../experiments/", "experiments/")
    assert f"```yaml\n{body}```" in (ROOT / "docs" / "real-models.md").read_text()
