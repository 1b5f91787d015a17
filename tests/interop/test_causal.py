"""Published causal language models reason through our own engine."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# transformers and Lightning tell too little of what their modules are.

import pytest
import torch
from real_folders import save_qwen
from transformers import AutoModelForCausalLM, AutoTokenizer

from mmlite.generation import Decoding, Request, Thinking
from mmlite.interop import CausalModel
from mmlite.records import Turn
from mmlite.study.sources import build_model

QUESTIONS = [
    "what is in the image?",
    "is it a user or a system, and what is the image in?",
    "what?",
]
REQUESTS = [Request((Turn("user", text),)) for text in QUESTIONS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = save_qwen(tmp_path_factory.mktemp("models") / "qwen")
    model = AutoModelForCausalLM.from_pretrained(made)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(made)
    return made


@pytest.mark.parametrize("thinking", [False, True])
def test_it_writes_what_generate_writes_with_the_models_own_template(folder, thinking):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = tokenizer.convert_tokens_to_ids("<|im_end|>")
    expected = []
    for text in QUESTIONS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            enable_thinking=thinking,
            return_tensors="pt",
            return_dict=True,
        )
        written = model.generate(**ids, max_new_tokens=12, do_sample=False, eos_token_id=ends)
        said = tokenizer.decode(written[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        expected.append(said.strip())
    engine = CausalModel(str(folder), thinking=thinking, max_batch_tokens=64).build()
    made = engine.generate(REQUESTS, Decoding(max_new_tokens=12))
    assert [one.text for one in made] == expected
    assert len(set(expected)) > 1


def test_a_text_ends_where_the_models_own_settings_end_it(folder, tmp_path):
    made = tmp_path / "several"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    usual = CausalModel(str(folder)).build()
    whole = usual.generate(REQUESTS, Decoding(max_new_tokens=12))
    second = whole[0].token_ids[1]  # ends a text by the model's settings, not by the tokenizer's
    model.generation_config.eos_token_id = [*usual.stop_ids, second]
    model.save_pretrained(made)
    AutoTokenizer.from_pretrained(folder).save_pretrained(made)
    engine = CausalModel(str(made)).build()
    (cut,) = engine.generate(REQUESTS[:1], Decoding(max_new_tokens=12))
    assert cut.finished
    assert list(cut.token_ids) == list(whole[0].token_ids[: whole[0].token_ids.index(second)])


def test_a_budget_for_thoughts_that_the_template_closes_is_refused(folder):
    budget = Decoding(max_new_tokens=12, thinking=Thinking(max_tokens=8))
    with pytest.raises(ValueError, match="thinking: got a budget with thinking false"):
        CausalModel(str(folder), decoding=budget)
    CausalModel(str(folder), thinking=True, decoding=budget)


def test_the_published_type_is_kept_unless_another_is_asked_for(folder, tmp_path):
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(folder).save_pretrained(half)
    assert CausalModel(str(half)).build().model.language.table.dtype == torch.bfloat16
    same = CausalModel(str(half), dtype="float32").build()
    assert same.model.language.table.dtype == torch.float32


def test_it_is_named_in_yaml(folder):
    arguments = {"name": str(folder), "thinking": True, "decoding": {"max_new_tokens": 7}}
    value = {"class_path": "mmlite.interop.CausalModel", "init_args": arguments}
    model = build_model(value, "qwen")
    assert isinstance(model, CausalModel)
    assert model.decoding == Decoding(max_new_tokens=7)
    assert len(model.stored(None).write(REQUESTS[:1], model.decoding)) == 1


def test_a_missing_folder_is_refused_at_once():
    with pytest.raises(ValueError, match=r"name: got './gone', but there is no such folder \(the"):
        CausalModel("./gone")
