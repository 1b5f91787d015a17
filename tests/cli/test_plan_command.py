"""`mmlite plan` takes what `mmlite fit` takes, and tells what it needs."""

import json
from contextlib import redirect_stdout
from io import StringIO

import pytest
import yaml
from cli.commands import BASE, EXPERIMENTS, LANGUAGE, ROOT, RUN

from mmlite.cli.main import main

PLAN = ["plan", *RUN[1:]]
RUNS = [
    path
    for path in sorted(EXPERIMENTS.rglob("*.yaml"))
    if "# Run: mmlite fit" in path.read_text()
    and path.parent.name != "paper"  # its models are not here
]


def planned(arguments, capsys) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def plain() -> dict:
    """What is told of the run by itself, planned once."""
    with redirect_stdout(StringIO()) as told:
        assert main([*PLAN, "--json"]) == 0
    return json.loads(told.getvalue())


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.relative_to(EXPERIMENTS).as_posix())
def test_every_run_is_planned(path, capsys, monkeypatch, request):
    if path.parent.name == "nlvr":
        request.getfixturevalue("shared_data")
    monkeypatch.chdir(ROOT)
    text = path.read_text()
    (command,) = [line for line in text.splitlines() if line.startswith("# Run: mmlite fit")]
    found = planned(["plan", *command.split()[4:], "--sample-batches", "1"], capsys)
    assert found["run"]["steps"] == yaml.safe_load(text)["trainer"]["max_steps"]
    assert found["memory"]["total"] > 0
    assert found["flops"]["total"] > 0
    assert sum(row["trainable"] for row in found["parts"]) > 0


def test_tables_name_what_needs_most_and_its_switch(capsys, tmp_path):
    devices = ["--device-flops", "1e11", "--device-memory", "1"]
    assert main([*PLAN, *devices, "--run", str(tmp_path / "run")]) == 0
    assert list(tmp_path.iterdir()) == [], "nothing is written"
    told = " ".join(capsys.readouterr().out.split())
    switch = "model.init_args.gradient_checkpointing: [language]; or a data.init_args.budget.bat"
    assert f"Most memory: activations. It is lowered by {switch}" in told
    assert "at 40% of 100 GFLOP/s on 1" in told
    assert "fits" in told
    assert "first 8 batches" in told


def test_its_advice_is_followed_by_less_memory(capsys, plain):
    speed = ["--device-flops", "1e9", "--utilization", "0.5"]
    advised = ["--model.init_args.gradient_checkpointing", "[language]"]
    again = planned([*PLAN, *advised, *speed], capsys)
    assert again["memory"]["activations"] < 0.7 * plain["memory"]["activations"]
    assert again["flops"] == plain["flops"]
    assert again["recomputed_flops"] > 0
    assert "budget" in again["switch"]
    # Hours are operations over what is made use of, and nothing that is computed again.
    assert again["hours"] == pytest.approx(plain["flops"]["total"] / 0.5e9 / 3600)
    assert plain["hours"] is None, "nobody said what the CPU can do"


def test_data_that_is_not_there_is_assumed(capsys, tmp_path):
    source = {"class_path": "data_modules.sources.LLaVA", "init_args": {"image_root": "none"}}
    data = {"class_path": "data_modules.CaptionData", "init_args": {"train": [{"source": source}]}}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"data": data}))
    files = ["-c", str(tmp_path / "data.yaml"), "--data.init_args.validation", "null"]
    given = ["plan", *RUN[1:], *files, "--assumed.text_tokens", "40"]
    found = planned([*given, "--assumed.supervised_tokens", "20"], capsys)
    assert found["sample"]["origin"] == "assumed"
    assert "there is no such folder" in found["sample"]["note"]
    assert found["totals"]["images"] == found["totals"]["examples"]


def test_shards_lower_what_belongs_to_the_weights(capsys, plain):
    sharded = [*PLAN, "-c", str(EXPERIMENTS / "overlays" / "fsdp.yaml")]
    many = planned(sharded, capsys)
    assert many["devices"]["strategy"] == "fsdp"
    assert many["memory"]["optimizer"] == plain["memory"]["optimizer"] // 2
    assert many["memory"]["activations"] < 0.5 * plain["memory"]["activations"]
    assert many["totals"]["tokens"] == 2 * plain["totals"]["tokens"]


def test_a_wrong_key_is_told_as_by_fit(refused):
    wrong = ["--model.init_args.trainabel", "[projector]"]
    assert refused([*PLAN, *wrong]) == refused([*RUN, *wrong])


def test_flex_attention_is_for_a_gpu_as_in_fit(refused):
    flex = ["--model.init_args.language.init_args.attention", "flex_attention"]
    assert "got flex_attention with trainer.accelerator cpu" in refused(
        ["plan", *LANGUAGE[1:], *flex]
    )


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--utilization", "1.5", "--utilization: got 1.5, allowed: above 0, at most 1"),
        ("--sample-batches", "0", "--sample-batches: got 0, allowed: 1 or more"),
        ("--device-flops", "-1", "--device-flops: got -1.0, allowed: above 0"),
        ("--device-memory", "0", "--device-memory: got 0.0, allowed: above 0, in GiB"),
    ],
)
def test_impossible_options_are_refused(refused, option, value, told):
    assert told in refused([*PLAN, option, value])


def test_a_published_model_is_planned_from_its_configuration_alone(tmp_path, capsys):
    config = {"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 900}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    config |= {"intermediate_size": 128, "architectures": ["Qwen3ForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    init = {"name": str(tmp_path), "dtype": "bfloat16"}
    model = {"class_path": "mmlite.models.PretrainedLanguageModel", "init_args": init}
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump({"model": {"init_args": {"language": model}}})
    )
    given = ["plan", "-c", BASE, *LANGUAGE[3:], "-c", str(tmp_path / "run.yaml")]
    (part,) = planned(given, capsys)["parts"]
    block = 64 * 16 * (4 + 2 + 2 + 4) + 3 * 64 * 128 + 2 * 16 + 2 * 64
    assert part["parameters"] == 2 * 900 * 64 + 2 * block + 64
    assert part["dtypes"] == "bfloat16"
