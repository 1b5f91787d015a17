"""What is wrong with a synthesis file stops it at once, in one sentence."""

import re

import pytest
import yaml
from synthesis.made import SHORT, asked, llava, spec_file, synthesize, talk

from mmlite.cli.main import main


@pytest.fixture
def spec(tmp_path):
    return spec_file(tmp_path, llava(tmp_path, [talk("a", ["0.png"], *SHORT)]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--nmae", "x"], "got key 'nmae', allowed: .*did you mean name"),
        (["--limit"], "--limit: got no value, allowed: one value; write --limit VALUE"),
        (["--limit", "0"], "limit: got 0, allowed: 1 or more, or null"),
        (["--limit", "ten"], "limit: got 'ten', allowed: a whole number, or null"),
        (["--limit", "[1"], r"--limit: got '\[1', which is no YAML"),
        (["--split", "trains"], "split: got 'trains', allowed: train, validation, test"),
        (["--split", "test"], "qa: got split 'test', allowed: train"),
        (["--seed", "-1", "--image_px", "0"], "image_px: got 0, .*; seed: got -1, allowed"),
        (["--name", "a/b"], "name: got 'a/b', allowed: letters, digits and"),
        (["--name", ".."], r"name: got '\.\.', allowed: letters, digits and"),
        (["--prompts", "micro"], "prompts: got 'micro', which has no question_info, pair"),
        (["--prompts", "papr"], "prompts: got 'papr', allowed: micro, paper or the path"),
        (["--checks", "3"], "checks: got 3, allowed: a mapping"),
        (["--checks.leak", "false"], "checks: got key 'leak', allowed: leaks, .*mean leaks?"),
        (["--checks.leaks", "2"], "leaks: got 2, allowed: true or false"),
        (
            ["--checks.max_left_out_fraction", "7", "--checks.min_answer_characters", "0"],
            "min_answer_characters: got 0, allowed: 1 or more; checks.max_left_out_fraction: got 7",
        ),
        (["--source", "x"], "source: got 'x', allowed: a mapping of class_path and init_args"),
        (["--source.class_path", "3"], "source: got .*, allowed: a mapping of class_path"),
        (["--source.init_arg.x", "3"], "got key 'init_arg', .*did you mean init_args?"),
        (["--source.init_args", "3"], "source.init_args: got 3, allowed: a mapping of image_root"),
        (["--source.init_args.trains", "x"], "got key 'trains', allowed: .*did you mean train?"),
        (["--source.init_args.train", "gone.json"], "got 'gone.json', but there is no such file"),
        (["--source.init_args", "{train: x}"], "got no image_root; LLaVA needs it"),
        (["--source.class_path", "data_modules.sources.LLava"], "did you mean .*sources.LLaVA?"),
        (["--source.class_path", "mmlite.records.content_key"], "which is no object to build"),
        (
            ["--source", "{class_path: mmlite.tasks.Caption}"],
            "source.class_path: got 'mmlite.tasks.Caption', which has no rows",
        ),
        (["--describe.class_path", "synthesis.scripted.Scribbled"], "mean .*.Scripted?"),
        (["--describe.class_path", "synthesis.scripted.Blind"], "a model that sees no images"),
        (["--describe.class_path", "data_modules.sources.LLaVA"], "is no PublishedModel to build"),
        (["--describe.class_path", "gone.Model"], "does not exist, allowed: a class such as"),
        (["--info.init_args.decoding", "9"], "decoding: got 9, allowed: a mapping of max_new_toke"),
        (
            ["--info.init_args.decoding.max_new_tokens", "0"],
            "info.init_args: decoding: max_new_tokens: got 0, allowed: 1 or more",
        ),
        (["--info.init_args.seconds", "x"], "info.init_args.seconds: got x, allowed: float"),
    ],
)
def test_wrong_values_are_named(options, told, spec, tmp_path, capsys):
    assert synthesize(spec, tmp_path / "out", *options) == 2
    shown = capsys.readouterr().err.split("mmlite: ", 1)[1].rstrip()
    assert re.search(told, shown), shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert asked(tmp_path) == []


@pytest.mark.parametrize("key", ["source", "statements", "describe", "info", "name"])
def test_a_missing_key_is_named(key, spec, tmp_path, capsys):
    value = yaml.safe_load(spec.read_text())
    del value[key]
    spec.write_text(yaml.safe_dump(value))
    assert synthesize(spec, tmp_path / "out") == 2
    assert f"got no {key}; a synthesis needs name, source" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "line 1: is no YAML"),
        ("- a", "got a list, allowed: a mapping of keys"),
        ("limit: 3\nlimit: 4", "lines 1 and 2: got key 'limit' twice, allowed: each key once"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text, told, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text(text)
    assert synthesize(tmp_path / "bad.yaml", tmp_path / "out") == 2
    assert told in capsys.readouterr().err


def test_without_a_file_it_says_what_it_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", "--out", "x"]) == 2
    assert "got no file, allowed: a synthesis file" in capsys.readouterr().err
    assert synthesize(tmp_path / "gone.yaml", tmp_path / "out") == 2
    assert "gone.yaml, but there is no such file" in capsys.readouterr().err


def test_a_file_where_the_folder_belongs_is_named(spec, capsys):
    assert synthesize(spec, spec) == 2
    assert "which is a file, allowed: a folder" in capsys.readouterr().err


def test_a_model_that_is_not_there_stops_it_first(spec, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    path = "--describe.class_path=mmlite.interop.ImageTextModel"
    assert synthesize(spec, tmp_path / "out", path, "--describe.init_args={name: some/model}") == 1
    assert "describe.init_args.name: got 'some/model'" in capsys.readouterr().err
    assert asked(tmp_path) == []
