"""Published models as teachers, tiny and random: they write nonsense, which is checked as any."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from interop.folders import save_llava_onevision, save_qwen2_vl
from real_folders import save_qwen
from synthesis.made import files_of, lines, llava, spec_file, synthesize, talk

from data_modules.sources import LLaVA
from mmlite.cli.main import main

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "synthesis.yaml"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("teachers")
    saved = {"ov": save_llava_onevision(root / "ov"), "qwen": save_qwen(root / "qwen")}
    return {**saved, "qwen_vl": save_qwen2_vl(root / "qwen_vl")}


def image_text(folder, tokens, **more):
    arguments = {"name": str(folder), "dtype": "float32", "decoding": {"max_new_tokens": tokens}}
    return {"class_path": "mmlite.interop.ImageTextModel", "init_args": {**arguments, **more}}


def causal(folder, tokens=4):
    arguments = {"name": str(folder), "decoding": {"max_new_tokens": tokens}}
    return {"class_path": "mmlite.interop.CausalModel", "init_args": arguments}


ASKED = ("what is red ?", "is it blue ?", "what is one ?", "what is two ?", "look , is it green ?")


def talks(**known):
    """Conversations about one or two images, and about none."""
    return [
        talk(f"t{n}", [[f"{n % 4}.png"], ["0.png", "1.png"], []][n % 3], ASKED[n % 5], "three")
        | ({"mmlite": {"question": ASKED[n % 5], "answers": ["three"], **known}} if known else {})
        for n in range(12)
    ]


def test_what_random_models_write_to_the_end_is_kept(folders, tmp_path):
    teacher = image_text(folders["ov"], 160)
    spec = spec_file(
        tmp_path,
        llava(tmp_path, talks(info="what it is")),
        statements=teacher,
        describe=teacher,
        info=causal(folders["qwen"]),
        checks={"max_left_out_fraction": 1.0},
        image_px=20,
    )
    assert synthesize(spec, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    left_out = summary["left_out"]
    assert left_out["no_image"] == 4
    assert set(left_out) <= {"no_image", "statements_cut", "description_cut", "description_empty"}
    assert 0 < summary["records"] == 12 - sum(left_out.values()) < 8
    arguments = {"train": str(tmp_path / "out" / "extraction.jsonl")}
    rows = LLaVA(str(tmp_path / "images"), **arguments).rows("train")
    assert all(row[0].extraction and row[0].info == "what it is" for row in rows)
    assert synthesize(spec, tmp_path / "again") == 0
    assert files_of(tmp_path / "again") == files_of(tmp_path / "out")


def test_an_info_that_a_random_model_never_ends_is_counted(folders, tmp_path):
    teacher = image_text(folders["qwen_vl"], 5)
    spec = spec_file(
        tmp_path,
        llava(tmp_path, talks()),
        statements=teacher,
        describe=teacher,
        info=causal(folders["qwen"]),
        checks={"max_left_out_fraction": 1.0},
    )
    assert synthesize(spec, tmp_path / "out") == 0
    kinds = [line["kind"] for line in lines(tmp_path / "out" / "left_out.jsonl")]
    assert (kinds.count("info_cut"), kinds.count("no_image"), len(kinds)) == (8, 4, 12)


def test_a_prompt_that_is_too_long_leaves_its_row_out(folders, tmp_path):
    words = "what is red ? " * 200
    records = [talk("long", ["0.png"], words, "three"), talk("short", ["1.png"], "what ?", "three")]
    info = causal(folders["qwen"])
    info["init_args"]["max_tokens"] = 1800
    spec = spec_file(
        tmp_path,
        llava(tmp_path, records),
        statements=image_text(folders["ov"], 5),
        describe=image_text(folders["ov"], 5),
        info=info,
        checks={"max_left_out_fraction": 1.0},
    )
    assert synthesize(spec, tmp_path / "out") == 0
    kinds = {line["id"]: line["kind"] for line in lines(tmp_path / "out" / "left_out.jsonl")}
    assert kinds == {"long": "too_long", "short": "info_cut"}


def test_the_page_shows_the_example():
    body = EXAMPLE.read_text().partition("# Run: mmlite synthesize docs/examples/synthesis.yaml\n")[
        2
    ]
    page = (EXAMPLE.parents[1] / "synthesis.md").read_text()
    assert f"```yaml\n# docs/examples/synthesis.yaml\n{body}```" in page


def test_the_example_runs_with_other_teachers(folders, tmp_path, monkeypatch):
    """Its own command and keys; only the models are tiny ones, which stop early."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["make.py", "my"])
    runpy.run_path(str(EXAMPLE.parent / "data" / "make.py"), run_name="__main__")
    given = yaml.safe_load(EXAMPLE.read_text())
    names = [f"--{role}.init_args.name" for role in ("statements", "describe")]
    changes = [word for name in names for word in (name, str(folders["ov"]))]
    changes += ["--info.init_args.name", str(folders["qwen"]), "--limit", "6"]
    short = [f"--{role}.init_args.decoding" for role in ("statements", "describe", "info")]
    changes += [word for name in short for word in (name, "{max_new_tokens: 6}")]
    assert main(["synthesize", str(EXAMPLE), *changes]) == 1, "half of the rows may be bad"
    assert main(["synthesize", str(EXAMPLE), *changes, "--checks.max_left_out_fraction", "1"]) == 0
    summary = json.loads((tmp_path / "runs" / given["name"] / "synthesis.json").read_text())
    assert summary["records"] + sum(summary["left_out"].values()) == summary["rows"] == 6
