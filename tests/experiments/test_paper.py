"""The paper's stages, trained two steps each with shrunken models on data in the real formats."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from experiments.headers import parsed
from real_folders import SIGLIP, SIGLIP_ARGS, save_qwen, save_siglip
from safetensors.torch import load_file
from tiny import png

from mmlite.runs import load_run
from mmlite.training.command import run

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
PAPER = EXPERIMENTS / "paper"
STAGES = (
    *("alignment", "instruction", "multi_image", "captioning", "extraction"),
    "extraction_scratch",
)
SIZES = ("0.6b", "1.7b", "4b", "8b")
MULTI = "data/m4/"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed"),
    pytest.mark.filterwarnings("ignore:The .(train|val)_dataloader. does not have many"),
]


def sources() -> dict[str, str]:
    """Every file of conversations that a stage reads, and the folder of its images."""
    found = {}
    for stage in STAGES:
        text = (PAPER / f"{stage}.yaml").read_text()
        for item in yaml.safe_load(text)["data"]["init_args"]["train"]:
            given = item["source"]["init_args"]
            found[given["train"]] = given["image_root"]
    return found


def write_data(folder: Path) -> None:
    """Write each file with a few rows: plain captions, or conversations about one or two images."""
    for file, root in sources().items():
        (folder / root).mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []
        for number in range(16 if "lcs" in file else 8 if "allava" in file else 2):
            image = f"{number}.png"
            (folder / root / image).write_bytes(png(number, size=40 + 30 * number))
            images = [image, image] if file.startswith(MULTI) else image
            places = "<image>" * (2 if file.startswith(MULTI) else 1)
            question = places if "lcs" in file else f"{places}\nwhat is in the image?"
            told = [{"from": "human", "value": question}, {"from": "gpt", "value": "an image"}]
            rows.append({"id": str(number), "image": images, "conversations": told})
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps(rows))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data and tiny models, and the overlay that puts them in."""
    folder = tmp_path_factory.mktemp("paper")
    write_data(folder)
    models = {
        "processor": {
            "init_args": {
                "tokenizer": {"init_args": {"name": str(save_qwen(folder / "qwen"))}},
                "image": {"init_args": {"size_px": SIGLIP_ARGS["img_size"]}},
                "tokens_per_tile": 9,
            }
        },
        "model": {
            "init_args": {
                "language": {"init_args": {"name": str(folder / "qwen")}},
                "vision": {
                    "init_args": {
                        "model_name": SIGLIP,
                        "pretrained": False,
                        "weights": str(save_siglip(folder / "siglip.safetensors")),
                        "model_args": SIGLIP_ARGS,
                    }
                },
            }
        },
        "data": {"init_args": {"num_workers": 0}},
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 2,
            "accumulate_grad_batches": 1,
            "logger": False,
            "callbacks": [],
            "enable_checkpointing": False,
            "enable_progress_bar": False,
        },
    }
    (folder / "shrunken.yaml").write_text(yaml.safe_dump(models))
    return folder


def command(stage: str, size: str, *more: str) -> list[str]:
    files = ["base", f"paper/{stage}", "paper/parts/recipe", f"paper/sizes/{size}", *more]
    given = [str(EXPERIMENTS / f"{name}.yaml") for name in files]
    return ["fit", *(item for name in [*given, "shrunken.yaml"] for item in ("-c", name))]


@pytest.mark.parametrize("size", SIZES)
def test_every_stage_trains_two_steps_on_what_the_one_before_left(size, world, monkeypatch):
    monkeypatch.chdir(world)
    shutil.rmtree(world / "runs", ignore_errors=True)  # of the size before
    for stage in STAGES:
        done = run(command(stage, size))
        assert done.trainer.global_step == 2, stage
        assert torch.isfinite(done.trainer.callback_metrics["train/loss"])
        weights = load_file(world / "runs" / "paper" / stage / "weights.safetensors")
        trained = {name.split(".")[0] for name in weights}
        expected = {"projector"} if stage == "alignment" else {"vision", "projector", "language"}
        assert trained == expected, stage


@pytest.mark.parametrize("size", ["0.6b", "1.7b"])
def test_qlora_trains_two_steps(size, world, monkeypatch):
    monkeypatch.chdir(world)
    out = world / f"qlora_{size}"
    more = ["--model.init_args.init_from", "null", "--run", str(out)]
    done = run([*command("extraction", size, "paper/overlays/qlora"), *more])
    assert done.trainer.global_step == 2
    row = next(row for row in done.model.part_rows if row.part == "language")
    assert "nf4" in row.dtypes
    assert 0 < row.trainable < row.parameters
    assert (out / "adapters" / "language" / "adapter_model.safetensors").is_file()
    load_run(out)


@pytest.mark.parametrize("size", SIZES)
def test_eight_gpus_see_as_many_rows_as_one(size):
    files = [f"paper/{STAGES[-1]}", "paper/parts/recipe", f"paper/sizes/{size}"]
    given = [("-c", str(EXPERIMENTS / f"{name}.yaml")) for name in ["base", *files]]
    one = ["fit", *(item for pair in given for item in pair)]
    eight = parsed([*one, "-c", str(PAPER / "overlays" / "eight_gpus.yaml")])["trainer"]
    assert eight["devices"] * eight["accumulate_grad_batches"] == 64
    assert eight["strategy"]["init_args"]["data_parallel_size"] == eight["devices"]
    assert parsed(one)["trainer"]["accumulate_grad_batches"] == 64


def test_sizes_differ_by_their_language_model_alone():
    for size in SIZES:
        given = yaml.safe_load((PAPER / "sizes" / f"{size}.yaml").read_text())
        part = f"../../parts/qwen3_{size}.yaml"
        assert given == {"model": {"init_args": {"language": part}}}
        assert f"Qwen3-{size.upper()}" in (EXPERIMENTS / "parts" / f"qwen3_{size}.yaml").read_text()


def test_stages_share_the_papers_recipe():
    recipe = yaml.safe_load((PAPER / "parts" / "recipe.yaml").read_text())
    accumulated = recipe["trainer"]["accumulate_grad_batches"]
    for stage in STAGES:
        given = yaml.safe_load((PAPER / f"{stage}.yaml").read_text())
        rows = given["data"]["init_args"]["budget"]["batch_size"] * accumulated
        model = given["model"]["init_args"]
        rate = model["optimizer"]["init_args"]["lr"]
        assert (rows, rate) == ((512, 1e-3) if stage == "alignment" else (256, 1e-5))
        if stage != "alignment":
            assert rate * model["lr_scale"]["vision"] == pytest.approx(2e-6)
    replayed = yaml.safe_load((PAPER / "multi_image.yaml").read_text())["data"]["init_args"][
        "train"
    ]
    limits = [item["limit"] for item in replayed if "limit" in item]
    assert sum(limits) == pytest.approx(150_000, abs=5)
