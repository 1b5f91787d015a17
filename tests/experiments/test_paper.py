"""The paper's stages, trained two steps each with shrunken models on data in the real formats."""

import json
import shlex
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

from mmlite.images import AnyRes
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


LARGE = PAPER / "overlays" / "one_large_gpu.yaml"


@pytest.mark.parametrize("size", ["0.6b", "1.7b"])
def test_the_command_of_one_large_gpu_packs_rows_of_one_length(size, monkeypatch):
    monkeypatch.chdir(EXPERIMENTS.parent)
    (line,) = (line for line in LARGE.read_text().splitlines() if line.startswith("# mmlite fit"))
    words = shlex.split(line.replace("0.6b", size))[2:]
    after = parsed(words)
    place = words.index(str(LARGE.relative_to(EXPERIMENTS.parent)))
    before = parsed(words[: place - 1])
    # Without it, the schedule would not know its end; the stage's header says how many there are.
    assert after["trainer"]["max_steps"] == 1490
    assert "about 1,490 steps" in (PAPER / "extraction.yaml").read_text()
    old, new = (config["model"]["init_args"] for config in (before, after))
    language, optimizer = (
        [dict(model[part]["init_args"].items()) for model in (old, new)]
        for part in ("language", "optimizer")
    )
    assert language[1] == {**language[0], "attention": "flex_attention"}
    assert optimizer[1] == {**optimizer[0], "fused": True}
    assert (new["speed"]["compile"], new["gradient_checkpointing"]) == (True, [])
    budget = after["data"]["init_args"]["budget"]
    assert budget["pack_tokens"] == budget["pad_multiple"] == 16384
    half = (0.5, 0.5, 0.5)
    image = AnyRes(size_px=384, grid_rows=6, grid_columns=6, mean=half, std=half, max_tiles=9)
    layout = image.layout(480, 640, num_images=1, tokens_per_tile=729)
    assert layout is not None
    assert layout.num_tokens == 2929
    tokens = after["trainer"]["accumulate_grad_batches"] * budget["pack_tokens"]
    assert tokens // 256 == 3328  # "3,300 tokens" of an example, says the header


def test_one_large_gpu_trains_two_steps_where_kernels_are_those_of_a_cpu(world, monkeypatch):
    monkeypatch.chdir(world)
    small = {
        "model.init_args.language.init_args.attention": "sdpa",  # a CPU makes no others' gradients
        "model.init_args.speed.compile": "false",
        "model.init_args.init_from": "null",
        "data.init_args.budget.pack_tokens": "512",
        "data.init_args.budget.pad_multiple": "512",
        "data.init_args.num_workers": "0",
        "trainer.accelerator": "cpu",
        "run": str(world / "large"),
    }
    more = [word for key, value in small.items() for word in (f"--{key}", value)]
    done = run([*command("extraction", "0.6b", "paper/overlays/one_large_gpu"), *more])
    assert done.trainer.global_step == 2
    assert torch.isfinite(done.trainer.callback_metrics["train/loss"])
    data: Any = done.datamodule
    rows = next(iter(data.train_dataloader()))
    assert rows.input_ids.shape[1] % 512 == 0
    assert rows.position_ids is not None


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
