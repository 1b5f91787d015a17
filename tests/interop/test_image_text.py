"""Image-text models of transformers answer in batches what they would answer alone."""

import shutil
from typing import Any

import pytest
import torch
from folders import save_internvl, save_llava_onevision, save_qwen2_vl, save_smolvlm
from PIL import Image
from real_folders import save_qwen
from safetensors.torch import load_file, save_file
from tiny import png
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmlite.generation import Decoding, Request, Thinking
from mmlite.images import open_image
from mmlite.interop import CausalModel, ImageTextEngine, ImageTextModel
from mmlite.records import ImageRef, Turn
from mmlite.systems import PerceptionStore

SAVE = {
    "llava_onevision": save_llava_onevision,
    "qwen2_vl": save_qwen2_vl,
    "internvl": save_internvl,
    "smolvlm": save_smolvlm,
}
GREEDY = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    return {name: save(root / name) for name, save in SAVE.items()}


def request(text, *seeds, size=20):
    return Request((Turn("user", text),), tuple(ImageRef(data=png(s, size)) for s in seeds))


REQUESTS = [
    request("<image>\nwhat is red ?", 1),
    request("look <image> one two three what is blue ?", 2, size=40),
    request("what ?"),
    request("<image> <image> what ?", 1, 3),
    request("what is one ?"),
]


@pytest.mark.parametrize("name", SAVE)
@pytest.mark.parametrize("decoding", [GREEDY, Decoding(6, temperature=1.0, seed=3)])
def test_a_batch_is_answered_as_each_request_alone(folders, name, decoding):
    engine = ImageTextModel(str(folders[name]), dtype="float32", batch_size=2).build()
    kept = {}
    together = engine.generate([*REQUESTS, REQUESTS[0]], decoding, keep=kept.update)
    alone = [engine.generate([one], decoding)[0] for one in REQUESTS]
    assert together == [*alone, alone[0]]
    assert [kept[place] for place in range(len(together))] == together
    assert len({one.text for one in together}) > 2


@pytest.mark.parametrize("name", SAVE)
def test_it_writes_what_plain_transformers_writes(folders, name):
    folder = str(folders[name])
    model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    content = [{"type": "image"}, {"type": "text", "text": "what is red ?"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    picture = Image.fromarray(open_image(REQUESTS[0].images[0]))
    inputs = processor(images=picture, text=text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    said = processor.tokenizer.decode(
        output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    mine = ImageTextModel(folder).build().generate([REQUESTS[0]], GREEDY)[0]
    assert mine.text == said.strip()


def test_answers_end_at_the_end_token_and_are_cut_at_the_limit(folders):
    engine = ImageTextModel(str(folders["llava_onevision"])).build()
    decoding = Decoding(40, temperature=2.0)
    texts = engine.generate(REQUESTS, decoding)
    end = engine.processor.tokenizer.eos_token_id
    assert any(one.finished for one in texts)
    assert all(end not in one.token_ids for one in texts)
    short = engine.generate(REQUESTS, Decoding(1, temperature=2.0))
    assert all(len(one.token_ids) <= 1 for one in short)
    assert {one.finished for one in short} <= {one.text == "" for one in short} | {False}


def test_a_thinking_budget_that_nobody_would_keep_is_refused(folders):
    decoding = Decoding(8, thinking=Thinking(max_tokens=4))
    with pytest.raises(ValueError, match=r"decoding\.thinking: got a budget, allowed: null"):
        ImageTextModel(str(folders["llava_onevision"]), decoding=decoding)


def test_keys_tell_images_words_and_settings_apart(folders):
    folder = str(folders["llava_onevision"])
    engine = ImageTextModel(folder).build()
    keys = {engine.request_key(one) for one in REQUESTS}
    assert len(keys) == len(REQUESTS)
    assert engine.request_key(request("<image>\nwhat is red ?", 1)) in keys
    assert engine.request_key(request("<image>\nwhat is red ?", 2)) not in keys
    other = ImageTextModel(folder, system="look").build()
    assert other.fingerprint != engine.fingerprint
    assert ImageTextModel(folder).build().fingerprint == engine.fingerprint


def test_a_system_turn_changes_what_is_read(folders):
    folder = str(folders["qwen2_vl"])
    system = Request((Turn("system", "look"), *REQUESTS[0].turns), REQUESTS[0].images)
    mine = ImageTextModel(folder, system="look").build()
    plain = ImageTextModel(folder).build()
    sampled = Decoding(20, temperature=1.0)
    said = plain.generate([system], sampled)[0]
    # The same words by another way have another key, so only greedy texts must agree.
    assert mine.generate([REQUESTS[0]], GREEDY) == plain.generate([system], GREEDY)
    assert said.token_ids


def test_a_store_answers_what_was_answered_before(folders, tmp_path, monkeypatch):
    model = ImageTextModel(str(folders["llava_onevision"]))
    first = model.stored(PerceptionStore(tmp_path)).write(REQUESTS, GREEDY)
    again = model.stored(PerceptionStore(tmp_path))
    monkeypatch.setattr(again.engine, "_decode", None)  # nothing is decoded again
    assert again.write(REQUESTS, GREEDY) == first


def test_bad_models_are_refused_by_name(folders, tmp_path):
    with pytest.raises(ValueError, match=r"name: got './none', but there is no such folder \(the"):
        ImageTextModel("./none")
    with pytest.raises(ValueError, match="dtype: got 'int8', allowed: auto, float32, bfloat16"):
        ImageTextModel("some/model", dtype="int8")
    with pytest.raises(ValueError, match=r"model: got '.*', which cannot be loaded .*allowed: a l"):
        ImageTextModel(str(tmp_path)).build()
    built = ImageTextModel(str(folders["llava_onevision"])).build()
    with pytest.raises(ValueError, match="batch_size: got 0, allowed: 1 or more"):
        ImageTextEngine(built.model, built.processor, batch_size=0)
    built.processor.chat_template = None
    with pytest.raises(ValueError, match="whose processor has no chat template; allowed: a model"):
        ImageTextEngine(built.model, built.processor)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"batch_size": 0}, "batch_size: got 0, allowed: 1 or more"),
        ({"attention": "flash"}, "attention: got 'flash', allowed: sdpa, eager"),
        ({"device": "gpu"}, "device: got 'gpu', allowed: auto, cpu, cuda"),
    ],
)
def test_settings_are_checked_before_anything_is_loaded(arguments, told):
    with pytest.raises(ValueError, match=told):
        ImageTextModel("some/model", **arguments)


def test_a_model_whose_files_are_not_whole_is_refused(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "model")
    file = folder / "model.safetensors"
    weights = load_file(file)
    kept = {n: t for n, t in weights.items() if "layers.1." not in n}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"got '{folder}', whose files lack 12 .*layers\.1\."):
        ImageTextModel(str(folder)).build()
    name = next(name for name in weights if name.endswith("mlp.up_proj.weight"))
    save_file({**weights, name: torch.zeros(3, 5)}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"got '{folder}', of whose weights 1 have another shape"):
        ImageTextModel(str(folder)).build()


def test_a_model_of_another_kind_is_told_so_in_one_sentence(folders, tmp_path):
    text = str(save_qwen(tmp_path / "text"))
    with pytest.raises(ValueError, match="which is a qwen3 and no image-text model; allowed: a l"):
        ImageTextModel(text).build()
    with pytest.raises(ValueError, match="which is a qwen2_vl and no causal language model; allow"):
        CausalModel(str(folders["qwen2_vl"])).build()
