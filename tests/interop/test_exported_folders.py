"""An exported folder does, in plain transformers, what the run's model does; and says so."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# transformers and Lightning tell too little of what their modules are.

import json
import logging
import shutil

import pytest
import torch
import yaml
from made_runs import ANYRES, FIXED, OWN, PADDED, QWEN, make_run
from PIL import Image
from torch.testing import assert_close
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from mmlite.cli.main import main
from mmlite.generation import Decoding, Engine, Request
from mmlite.images import open_image
from mmlite.interop.export import Labels, export_run
from mmlite.interop.export.compare import compare, picture, sample_requests
from mmlite.interop.export.llava import TokenIds, to_llava
from mmlite.records import Turn
from mmlite.runs import load_run
from mmlite.stages.weights import load_part

KINDS = {
    "fixed": (FIXED, QWEN, "LlavaForConditionalGeneration"),
    "padded": (PADDED, OWN, "LlavaForConditionalGeneration"),
    "anyres": (ANYRES, QWEN, "LlavaOnevisionForConditionalGeneration"),
    "anyres_own": (ANYRES, OWN, "LlavaOnevisionForConditionalGeneration"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Every kind, exported once: the run's folder and the exported one."""
    root = tmp_path_factory.mktemp("exported")
    made = {}
    for name, (image, chat, kind) in KINDS.items():
        run = make_run(root / name / "run", image=image, chat=chat)
        labels = Labels("Tiny", license="apache-2.0", data_license="cc-by-4.0")
        done = export_run(run, root / name / "out", labels=labels, max_shard_size="60KB")
        assert done.kind == kind
        assert done.compared.logits < 1e-5
        made[name] = (run, done.folder)
    return made


@pytest.mark.parametrize("name", KINDS)
def test_plain_transformers_gives_the_runs_logits_and_answer(exported, name):
    """Compared here in another way than `compare` does: one prompt, written by hand."""
    run, folder = exported[name]
    stage = load_run(run)
    image = picture(7, 30, 90)
    words = "what is in the image ?"
    request = Request((Turn("user", f"<image>\n{words}"),), (image,))
    theirs = AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert type(theirs).__name__ == KINDS[name][2]
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    content = [{"type": "image"}, {"type": "text", "text": f"\n{words}"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    pixels = Image.fromarray(open_image(image))
    inputs = processor(images=pixels, text=text, return_tensors="pt", add_special_tokens=False)
    batch = stage.processor.collate(
        [stage.processor.encode(request.turns, request.images, answer=True)]
    )
    assert inputs["input_ids"].tolist() == batch.input_ids.tolist()
    model = stage.built
    with torch.no_grad():
        hidden = model.language(model.embed(batch), batch.attention_mask)
        ours = model.language.logits(hidden[0])
        assert_close(theirs(**inputs).logits[0, :, : ours.shape[-1]], ours, atol=1e-5, rtol=1e-5)
        written = theirs.generate(**inputs)  # its own generation configuration
    said = processor.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    answer = Engine(model, stage.processor).generate([request], Decoding(24))[0]
    assert said.strip() == answer.text


@pytest.mark.parametrize("name", ["fixed", "anyres"])
def test_an_exported_folder_is_a_place_to_start_from(exported, name):
    """Import undoes export, bit by bit."""
    run, folder = exported[name]
    assert (folder / "model.safetensors.index.json").is_file()
    first, second = load_run(run), load_run(run)
    with torch.no_grad():
        for parameter in second.built.parameters():
            parameter.zero_()
    for part in ("vision", "projector", "language"):
        assert not load_part(second.parts[part], part, folder).missing
    expected = first.built.state_dict()
    assert all(torch.equal(tensor, expected[n]) for n, tensor in second.built.state_dict().items())


def test_weights_can_be_rounded(exported, tmp_path):
    run, _ = exported["fixed"]
    done = export_run(run, tmp_path / "out", dtype="bfloat16")
    loaded = AutoModelForImageTextToText.from_pretrained(done.folder)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert json.loads((done.folder / "config.json").read_text())["dtype"] == "bfloat16"


def test_generation_stops_and_fills_up_as_the_run_does(exported):
    run, folder = exported["anyres"]
    stage = load_run(run)
    settings = json.loads((folder / "generation_config.json").read_text())
    engine = Engine(stage.built, stage.processor)
    assert settings["eos_token_id"] == sorted(engine.stop_ids)
    assert settings["pad_token_id"] == stage.processor.pad_id
    assert settings["max_new_tokens"] == 24
    assert settings["do_sample"] is False


def changed(folder, tmp_path, file, change):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    value = json.loads((copy / file).read_text())
    change(value)
    (copy / file).write_text(json.dumps(value))
    return copy


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("config.json", lambda v: v["vision_config"].update(hidden_act="relu"), "logits differ by"),
        (
            "processor_config.json",
            lambda v: v["image_processor"].update(image_mean=[0.4, 0.5, 0.5]),
            "pixels differ by",
        ),
        ("processor_config.json", lambda v: v["image_processor"].update(resample=2), "pixels"),
    ],
)
def test_a_folder_that_does_something_else_is_told(exported, tmp_path, file, change, told):
    run, folder = exported["fixed"]
    stage = load_run(run)
    copy = changed(folder, tmp_path, file, change)
    requests = sample_requests(stage.processor)
    with pytest.raises(
        ValueError, match=rf"does not do what the run's does: .*{told}.*nothing was"
    ):
        compare(copy, stage.built, stage.processor, requests)


def test_another_template_is_told(exported, tmp_path):
    run, folder = exported["fixed"]
    stage = load_run(run)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>user", "<|im_start|>usr"))
    with pytest.raises(ValueError, match=r"sample 0: token ids differ"):
        compare(copy, stage.built, stage.processor, sample_requests(stage.processor))


def test_what_differs_is_not_left_behind(tmp_path, monkeypatch):
    from mmlite.interop.export import folder as exporting

    run = make_run(tmp_path / "runs" / "run", image=FIXED, chat=QWEN)
    to_llava = exporting.to_llava

    def broken(*given, **named):
        made = to_llava(*given, **named)
        made.lm_head.weight.data.add_(torch.randn_like(made.lm_head.weight))
        return made

    monkeypatch.setattr(exporting, "to_llava", broken)
    with pytest.raises(ValueError, match="does not do what the run's does"):
        export_run(run, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"projector": {"class_path": "mmlite.models.LinearProjector"}},
            "model.projector: got LinearProjector, allowed: MLPProjector",
        ),
        (
            {
                "projector": {
                    "class_path": "mmlite.models.MLPProjector",
                    "init_args": {"hidden_dim": 8},
                }
            },
            "model.projector.hidden_dim: got 8, allowed: 16",
        ),
        (
            {
                "vision": {
                    "class_path": "mmlite.models.TimmVision",
                    "init_args": {
                        "model_name": "vit_tiny_patch16_224",
                        "model_args": {
                            "img_size": 42,
                            "patch_size": 14,
                            "embed_dim": 12,
                            "depth": 1,
                            "num_heads": 2,
                        },
                    },
                }
            },
            r"last normalisation, allowed: .*feature_layer -1 or -2; model.vision: .*cls_token",
        ),
    ],
)
def test_models_that_transformers_has_not_are_refused(tmp_path, changes, told):
    run = make_run(tmp_path / "runs" / "run", image=FIXED, chat=QWEN, **changes)
    with pytest.raises(ValueError, match=told):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_in_fixed_grids_are_refused(tmp_path):
    image = {**FIXED, "grid_columns": 2}
    run = make_run(tmp_path / "run", image=image, chat=QWEN)
    with pytest.raises(ValueError, match=r"ImageTransform with 2 tiles, allowed: .* one tile, or"):
        export_run(run, tmp_path / "out")


def test_adapters_are_to_be_merged_first(exported):
    run, _ = exported["fixed"]
    stage = load_run(run)
    model = stage.built
    model.language.model.lora_A = torch.nn.Parameter(torch.zeros(1))
    ids = TokenIds(image=1, video=2)
    with pytest.raises(
        ValueError, match=r"got adapters .*allowed: weights alone; .*mmlite merge R"
    ):
        to_llava(model, stage.processor, ids, rows=320)


def test_bad_places_and_types_are_refused(exported, tmp_path):
    run, folder = exported["fixed"]
    with pytest.raises(ValueError, match="--max-shard-size: got 'huge', allowed: a number and KB"):
        export_run("runs/none", tmp_path / "out", max_shard_size="huge")
    with pytest.raises(ValueError, match=r"--out: got .*, which is not empty, allowed: a new or e"):
        export_run(run, folder)
    with pytest.raises(ValueError, match="--dtype: got 'int8', allowed: float32, bfloat16"):
        export_run(run, tmp_path / "out", dtype="int8")
    with pytest.raises(ValueError, match=r"allowed: the folder of a finished run"):
        export_run(tmp_path, tmp_path / "out")


def test_the_command_exports_and_tells(exported, tmp_path, capsys, caplog):
    run, _ = exported["fixed"]
    with caplog.at_level(logging.INFO):
        command = ["export", str(run), "--out", str(tmp_path / "out"), "--license", "mit"]
        assert main(command) == 0
    assert "(LlavaForConditionalGeneration)" in caplog.text
    assert "same tokens, same greedy answers" in caplog.text
    head = (tmp_path / "out" / "README.md").read_text().split("---")[1]
    assert yaml.safe_load(head)["license"] == "mit"
    assert main(["export", str(run)]) == 2
    assert "got no --out, allowed: a new folder; give --out FOLDER" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 1
