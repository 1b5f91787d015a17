"""A wrong study stops before anything is started, with one message."""

import re
from contextlib import nullcontext

import pytest
from cli.commands import EXPERIMENTS
from study.studies import no_processes

from mmlite.cli.main import main

STUDY = (EXPERIMENTS / "micro" / "study.yaml").read_text().replace("[../", f"[{EXPERIMENTS}/")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "sizes: [a, b, c, d]",
            "size: [a]",
            r"got \['size'\], allowed: .*did you mean sizes",
        ),
        ("name: micro", "# name: micro", "study: got no name; a study needs name, title"),
        ("seeds: [0]", "seeds: [zero]", r"seeds: got \['zero'\], allowed: different whole numbers"),
        ("seeds: [0]", "seeds: [0, 0]", r"seeds: got \[0, 0\], allowed: different whole numbers"),
        (
            "    reasoner: language",
            "    reasner: language",
            "evaluation.runs: got 'reasner', all",
        ),
        (
            "prompts: micro",
            "prompts: micor",
            "evaluation.prompts: got 'micor', allowed: micro, paper, or a YAML file in ",
        ),
        (
            "enable_checkpointing: false",
            "enable_chekpointing: no",
            "language-a: trainer: got key 'en",
        ),
        ("seeds: [0]", "seedz: [0]", r"study: got \['seedz'\], allowed: .*; did you mean seeds?"),
        ("each: size", "each: sice", "runs.language.each: got 'sice', allowed: size"),
        ("vision.yaml]", "visoin.yaml]", "runs.vision.config: got 'visoin.yaml', but there is no"),
        (
            "{vision: vision, language:",
            "{vision: visio, language:",
            "init_from.vision: got 'visio'",
        ),
        ("reasoner: language", "reasoner: langage", "evaluation.runs.reasoner: got run 'langage'"),
        ("perceiver: blind", "perceiver: blnd", "perceiver: got 'blnd', allowed: extract, caption"),
        ("split: test", "split: train", "split: got 'train', allowed: validation, test"),
        ("workers: 2", "workers: 0", "workers: got 0, allowed: 1 or more"),
        ("workers: 2", "workers: two", "workers: got 'two', allowed: int"),
        ("evaluation:", "evaluation: [", r"mine.yaml, line \d+ is no YAML .*; correct it there"),
        (
            "sizes: [a, b, c, d]",
            "sizes: [1, 2]",
            r"study.sizes: got items \[1, 2\], allowed: texts",
        ),
        (
            "sizes: [a, b, c, d]",
            "sizes: [a, a]",
            r"sizes: got \['a', 'a'\], allowed: different",
        ),
        ("sizes: [a, b, c, d]", "sizes: [a/b]", "sizes: got the name 'a/b', allowed: letters, dig"),
        (
            "seeds: [0]",
            "seeds: [0]\nseeds: [1]",
            r"mine.yaml, line 9 is no YAML .*'seeds', which is in line 8 already\); corr",
        ),
        ("name: micro", "name: a/b", "name: got 'a/b', allowed: the name of a folder, without sl"),
        ("name: micro", "1: 2\nb: 3", r"study: got \[1, 'b'\], allowed: name, title"),
        (
            "  vision:\n",
            "  vision/a:\n",
            "runs: got the name 'vision/a', allowed: letters, digits, and",
        ),
        (
            "  vision:\n",
            "  language-a: {config: [vision.yaml]}\n  vision:\n",
            "runs: got run 'language-a' and run 'language' of size 'a', which are both named",
        ),
        (
            "  vision:\n",
            "  perceive-extract-a: {config: [vision.yaml]}\n  vision:\n",
            "runs: got run 'perceive-extract-a' and what the evaluation does, which are both",
        ),
        (
            "  vision:\n",
            "  answer-symbolic: {config: [vision.yaml]}\n  vision:\n",
            "both named 'answer-symbolic', allowed: a name of its own",
        ),
        (
            "reasoner: language",
            "reasoner: vision",
            "evaluation.runs.reasoner: got 'vision', a run of VisionPretraining, whose model wr",
        ),
        (
            "extract: extraction",
            "extract: language",
            "runs.extract: got 'language', a run of LanguagePretraining, whose model sees no image",
        ),
        (
            "{vision: vision, language: language}",
            "{visoin: vision, language: language}",
            r"alignment-a: model.init_args.init_from: got \['visoin'\], allowed: vision, projector",
        ),
        (
            "projector: alignment",
            "projector: language",
            "runs.captioning.init_from.projector: got 'language', which leaves language, allowed: ",
        ),
        ("reasoner: language", "reasoner: [a]", r"evaluation.runs: got values \[\['a'\]\], allow"),
        ("max_new_tokens: 96", "max_new_tokens: 0", "max_new_tokens: got 0, allowed: 1 or more"),
        (
            "max_new_tokens: 96",
            "examples_per_kind: -1",
            "evaluation.examples_per_kind: got -1, allowed: 0 or more",
        ),
        (
            "held_out_per_kind: 100",
            "- 100",
            r"evaluation.source: got .*\[100\]\}, allowed: class_path and init_args, such as",
        ),
        (
            "split: test",
            "models: {m: {class_path: mmlite.interop.CausalModel, init_args: [a]}}",
            "evaluation.models.m: got .*, allowed: class_path and init_args, such as",
        ),
        ("held_out_per_kind: 100", "held_out_per_kid: 100", "held_out_per_kid.*held_out_per_kind"),
    ],
)
def test_wrong_study(old, new, told, tmp_path, capsys):
    assert old in STUDY
    for file in (EXPERIMENTS / "micro").rglob("*.yaml"):
        link = tmp_path / file.relative_to(EXPERIMENTS / "micro")
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file)
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.replace(old, new))
    # One of those that are found only by reading runs is told by a real worker.
    with nullcontext() if new.startswith("enable_") else no_processes():
        assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert re.search(told, shown), shown
    assert len(shown.splitlines()) <= 4
    assert not (tmp_path / "out").exists(), "nothing is started"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3", "study: got 3, allowed: a mapping"),
        ("{name: a, title: b, sizes: [a], runs: 3, evaluation: {}}", "runs: got 3, allowed: a map"),
        ("{name: a, title: b, sizes: [a], runs: {}, evaluation: 3}", "evaluation: got 3, allowed"),
        (
            "{name: a, title: b, sizes: [a], runs: {}, evaluation: {source: {}, runs: {}, "
            "systems: 3}}",
            "evaluation.systems: got 3, allowed: a list",
        ),
    ],
)
def test_values_of_another_kind(text, told, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert main(["study", str(path)]) == 2
    shown = capsys.readouterr().err
    assert f"mmlite: study {path}: " in shown
    assert told in shown


def test_missing_study(capsys):
    given = str(EXPERIMENTS / "micro" / "stduy.yaml")
    assert main(["study", given]) == 2
    shown = capsys.readouterr().err
    assert "stduy.yaml, but there is no such file; did you mean" in shown
    assert "study.yaml?" in shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--worker", "2"], "got key 'worker', allowed: .*did you mean workers?"),
        (["--workers", "0"], "--workers: got 0, allowed: 1 or more"),
        (["--seeds", "-1"], r"--seeds: got \[-1\], allowed: different whole numbers from 0"),
        (["--seeds", "0", "0"], r"--seeds: got \[0, 0\], allowed: different"),
        (["--seeds", "one"], "seeds: got .*one.*, allowed: .*int"),
    ],
)
def test_wrong_options_of_a_study(options, told, capsys):
    assert main(["study", str(EXPERIMENTS / "micro" / "study.yaml"), *options]) == 2
    shown = capsys.readouterr().err
    assert re.search(told, shown), shown


def test_report_of_an_empty_folder(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert str(tmp_path) in shown
    assert len(shown.splitlines()) <= 4
