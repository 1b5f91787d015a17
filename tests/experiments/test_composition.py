"""Sizes and overlays on top of runs, and `debug` trained for real."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.headers import EXPERIMENTS, ROOT, built, parsed

from mmlite.cli.main import main
from mmlite.images import AnyRes
from mmlite.models import count_non_embedding
from mmlite.runs import build_stage

MICRO = EXPERIMENTS / "micro"
SIZES = sorted((MICRO / "sizes").glob("*.yaml"))
OVERLAYS = sorted((EXPERIMENTS / "overlays").glob("*.yaml"))


def files(*names: str | Path) -> list[str]:
    return [part for name in ("base.yaml", *names) for part in ("-c", str(EXPERIMENTS / name))]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_sizes_span_a_factor_of_thirty(tmp_path: Path) -> None:
    counts = []
    for size in SIZES:
        cli = built(["fit", *files("micro/language.yaml", size)], tmp_path / size.stem)
        language = cli.model.language(cli.model.processor.vocabulary_size)
        counts.append(count_non_embedding(language))
    assert len(counts) >= 4
    assert counts == sorted(counts)
    assert counts[-1] > 30 * counts[0]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_goes_on_top_of_a_run(overlay: Path, tmp_path: Path) -> None:
    arguments = ["fit", *files("micro/extraction.yaml", "micro/sizes/a.yaml")]
    before = parsed([*arguments, "--run", str(tmp_path)])
    after = parsed([*arguments, "-c", str(overlay), "--run", str(tmp_path)])
    assert after["trainer"]["callbacks"][:8] == before["trainer"]["callbacks"][:8]
    memory = "gradient_checkpointing"  # changes no gradient
    for model in (before["model"], after["model"]):
        model["init_args"].pop(memory)
    assert after["model"] == before["model"], "an overlay says where and how long, never what"
    assert after["data"]["class_path"] == before["data"]["class_path"]
    assert after["trainer"] != before["trainer"]
    head = overlay.read_text().split("trainer:")[0]
    assert f"-c experiments/overlays/{overlay.name}" in head, "it says how it is given"


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_overlay_of_two_processes_builds_its_strategy(name: str, tmp_path: Path) -> None:
    arguments = files("micro/extraction.yaml", "micro/sizes/a.yaml", f"overlays/{name}.yaml")
    cli = built(["fit", *arguments, "--trainer.accelerator", "cpu"], tmp_path)
    kinds = {"ddp": "DDPStrategy", "fsdp": "ModelParallelStrategy"}
    assert type(cli.trainer.strategy).__name__ == kinds[name]
    assert cli.trainer.num_devices == 2
    kept = ("32-true", ()) if name == "ddp" else ("bf16-mixed", ("all",))
    assert (cli.trainer.precision, cli.model.gradient_checkpointing) == kept


@pytest.mark.parametrize("run", ["language", "vision", "extraction"])
def test_debug_trains_two_steps(run: str, tmp_path: Path) -> None:
    names = [f"micro/{run}.yaml", *([] if run == "vision" else ["micro/sizes/a.yaml"])]
    arguments = ["fit", *files(*names, "overlays/debug.yaml"), "--run", str(tmp_path)]
    if run == "extraction":
        arguments += ["--model.init_args.init_from", "null"]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "throughput.json").read_text())["steps"] == 2
    assert (tmp_path / "weights.safetensors").is_file()
    assert not torch.is_anomaly_enabled(), "detect_anomaly ends with the run"


def test_a_class_has_its_own_defaults_beside_what_earlier_files_gave(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "model: {init_args: {optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}}}\n"
        "processor: {init_args: {image: {class_path: mmlite.images.AnyRes}}}\n"
    )
    given = parsed(["fit", *files("micro/extraction.yaml"), "-c", str(overlay), "--run", "run"])
    image, optimizer = given.processor.init_args.image, given.model.init_args.optimizer
    assert (image.init_args.grid_rows, image.init_args.max_tiles) == (6, 9)
    assert (image.init_args.std, image.init_args.size_px) == ((0.5, 0.5, 0.5), 384)
    assert image.init_args.mean == (0.431, 0.431, 0.431), "a file gave it"
    assert optimizer.init_args.weight_decay == 0


def test_a_record_written_by_hand_has_the_defaults_of_its_classes() -> None:
    tokenizer = {"class_path": "mmlite.tokenizers.micro_tokenizer"}
    arguments = {"tokenizer": tokenizer, "image": {"class_path": "mmlite.images.AnyRes"}}
    processor = {"class_path": "mmlite.processor.Processor", "init_args": arguments}
    model = {"class_path": "mmlite.stages.InstructionTuning", "init_args": {}}
    assert build_stage({"processor": processor, "model": model}).processor.image == AnyRes()


def composed(folder: Path, *texts: str, flags: Sequence[str] = ()) -> Any:
    """Return the arguments of a stage that files, one after another, and flags come to."""
    given = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.yaml"
        path.write_text(f"model: {{init_args: {text}}}\n")
        given += ["-c", str(path)]
    arguments = ["fit", *files("micro/alignment.yaml", "micro/sizes/a.yaml"), *given]
    return parsed([*arguments, "--run", "run", *flags])["model"]["init_args"]


INIT_FROM = "--model.init_args.init_from"


@pytest.mark.parametrize(
    ("texts", "flags", "merged"),
    [
        (["{projector: b}"], [], {"vision": "a", "language": "a", "projector": "b"}),
        (["{vision: b}"], [], {"vision": "b", "language": "a"}),
        (["{vision: null}"], [], {"language": "a"}),
        (["{vision: null}", "{vision: b}"], [], {"vision": "b", "language": "a"}),
        (["null", "{vision: b}"], [], {"vision": "b"}),
        ([], [f"{INIT_FROM}.vision", "b"], {"vision": "b", "language": "a"}),
        ([], [f"{INIT_FROM}.vision", "null"], {"language": "a"}),
        ([], [INIT_FROM, "{projector: b}"], {"projector": "b"}),  # as a study says it
    ],
)
def test_mappings_of_free_keys_merge_over_files(tmp_path, texts, flags, merged) -> None:
    given = ["null", "{vision: a, language: a}", *texts]
    found = composed(tmp_path, *[f"{{init_from: {text}}}" for text in given], flags=flags)
    assert found["init_from"] == merged


def test_mappings_of_any_values_and_of_records_merge_too(tmp_path) -> None:
    first = "{language: {init_args: {config: {rope_scaling: null, hidden_size: 48}}}}"
    adapters = ("{adapters: {language: {rank: 2, alpha: 8}}}", "{adapters: {language: {rank: 4}}}")
    found = composed(tmp_path, first, *adapters)
    config = found["language"]["init_args"]["config"]
    assert (config["hidden_size"], config["num_hidden_layers"]) == (48, 2)
    assert config["rope_scaling"] is None, "a value there, which transformers knows"
    adapter = found["adapters"]["language"]
    assert (adapter["rank"], adapter["alpha"]) == (4, 8)


def test_a_class_that_takes_the_place_of_another_has_its_own_mappings(tmp_path) -> None:
    path = tmp_path / "stage.yaml"
    path.write_text(
        "model: {class_path: mmlite.stages.ExtractionTuning, init_args: {init_from: {vision: b}}}\n"
    )
    given = ["fit", *files("micro/alignment.yaml"), "-c", str(path), "--run", "run"]
    assert parsed(given)["model"]["init_args"]["init_from"] == {"vision": "b"}
