"""A missing, broken or finished file stops with one message that names it."""

import json
import re
from pathlib import Path

import pytest
import torch
from cli.commands import BASE, EXPERIMENTS, LANGUAGE, ROOT, RUN, yaml_file
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from mmlite.cli.main import main


def test_missing_file_names_the_nearest(refused, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = refused(["fit", "-c", "experiments/micro/extractoin.yaml"])
    assert "-c: got experiments/micro/extractoin.yaml, but there is no such file" in shown
    assert "did you mean experiments/micro/extraction.yaml?" in shown
    shown = refused(["fit", "-c", "experiment/micro/extraction.yaml"])
    assert "but there is no folder experiment/micro; correct the path" in shown


def test_base_alone_is_no_run(refused):
    assert "got no data, model, processor; a run's file gives them: -c" in refused(
        ["fit", "-c", BASE]
    )


def test_a_key_that_stands_twice(refused, tmp_path):
    text = "trainer: {max_steps: 2}\nmodel:\n  init_args:\n    trainable: [language]\n"
    shown = refused([*LANGUAGE, *yaml_file(tmp_path, f"{text}trainer:\n  max_epochs: 1\n")])
    told = r"given.yaml lines 1 and 5: got key 'trainer' twice, allowed: each key once; put both"
    assert re.search(told, shown)
    (tmp_path / "inner.yaml").write_text(
        "class_path: mmlite.models.MLPProjector\ninit_args: {hidden_dim: 8, hidden_dim: 9}\n"
    )
    outer = yaml_file(tmp_path, "model: {init_args: {projector: inner.yaml}}\n")
    assert re.search(
        "inner.yaml lines 2 and 2: got key 'hidden_dim' twice", refused([*RUN, *outer])
    )


def test_missing_run_folder(refused, tmp_path):
    text = (EXPERIMENTS / "micro" / "language.yaml").read_text().replace("\nrun:", "\n#run:")
    text = text.replace("../parts", str(EXPERIMENTS / "parts"))
    given = ["fit", "-c", BASE, *yaml_file(tmp_path, text), *LANGUAGE[5:7], "--run", ""]
    assert "run: got nothing, allowed: a folder for the run; give --run" in refused(given)


def test_finished_run_is_not_trained_over(refused, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"kept")
    shown = refused([*RUN, "--run", str(folder)])
    assert "which holds a finished run, allowed: an empty or unfinished folder" in shown
    assert (folder / "weights.safetensors").read_bytes() == b"kept"


def test_broken_checkpoint(refused, tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"PK\x03\x04 cut off")
    shown = refused([*RUN, "--ckpt_path", str(path)])
    assert re.search("ckpt_path: got .*last.ckpt, which is cut off or no checkpoint", shown)


SHARDED = ["-c", str(EXPERIMENTS / "overlays" / "fsdp.yaml"), "--trainer.accelerator", "cpu"]


def test_checkpoints_with_and_without_shards(refused, tmp_path):
    whole, shards = tmp_path / "last.ckpt", tmp_path / "shards" / "last.ckpt"
    shards.mkdir(parents=True)
    torch.save({}, whole)
    shown = refused([*RUN, "--ckpt_path", str(shards)])
    assert "the folder of a sharded run, allowed: a file, without sharding; give the over" in shown
    shown = refused([*RUN, *SHARDED, "--ckpt_path", str(whole)])
    assert "a file of a run that was not sharded, allowed: the folder of a sharded one" in shown


def test_processes_that_are_not_there(refused, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(find_free_network_port()))
    shown = refused([*RUN, *SHARDED, "--trainer.devices", "1"])
    assert "set data_parallel_size to trainer.devices times trainer.num_nodes" in shown


def test_missing_weights_to_start_from(refused, tmp_path):
    arguments = [*LANGUAGE, "--model.init_args.init_from", '{"language": "runs/none"}']
    shown = refused(arguments, status=1)
    assert "init_from.language: got runs/none, but there is no such folder or file, al" in shown


def test_broken_weights_to_start_from(refused, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights at all")
    arguments = [*LANGUAGE, "--model.init_args.init_from", json.dumps({"language": str(path)})]
    assert re.search("init_from.*weights.safetensors cannot be read", refused(arguments, status=1))


def test_wrong_part_name(refused):
    shown = refused([*LANGUAGE, "--model.init_args.trainable", "[langauge]"], status=1)
    assert re.search("trainable: got .*langauge.*allowed: .*language", shown)


def llava(folder: Path, record: dict) -> list[str]:
    """Return flags that train on one LLaVA record."""
    (folder / "rows.json").write_text(json.dumps([record]))
    init = {"image_root": str(folder), "train": str(folder / "rows.json")}
    source = {"class_path": "data_modules.sources.LLaVA", "init_args": init}
    return [
        *("--data", "data_modules.QAData"),
        *("--data.init_args.train", json.dumps([{"source": source}])),
        *("--data.init_args.validation", "null"),
    ]


def row(**known) -> dict:
    turns = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "red."}]
    return {"id": "7", "conversations": turns, **known}


def test_answer_that_is_none_of_its_choices(refused, tmp_path):
    known = {"task": "multiple_choice", "choices": ["red", "blue"], "answers": ["green"]}
    arguments = [*LANGUAGE, *llava(tmp_path, row(mmlite={**known, "source": "mine", "row": 0}))]
    shown = refused(arguments, status=1)
    told = r"rows.json row 0 \(7\): got answers \['green'\], allowed: one of its"
    assert re.search(told, shown), shown
    assert shown.count("rows.json") == 1


def test_image_that_is_missing(refused, tmp_path):
    shown = refused([*LANGUAGE, *llava(tmp_path, row(image="gone.png"))], status=1)
    assert re.search("rows.json row 0: image path: got 'gone.png', but there is no file", shown)


def test_image_that_cannot_be_read(refused, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    shown = refused([*LANGUAGE, *llava(tmp_path, row(image="broken.png"))], status=1)
    assert re.search(r"image .*broken.png: cannot be read .*; replace the file or drop", shown)


def test_image_outside_its_root(refused, tmp_path):
    shown = refused([*LANGUAGE, *llava(tmp_path, row(image="../../x.png"))], status=1)
    assert "which leads out of the image root" in shown


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLITE_DEBUG", "1")
    with pytest.raises(ValueError, match="study"):
        main(["report", str(tmp_path)])
