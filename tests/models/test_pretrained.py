"""Published language models and tokenizers from local folders, without a network."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# Language models have tables and heads.

import importlib.util
import json
import socket

import huggingface_hub.constants
import pytest
import torch
from real_folders import SIGLIP, SIGLIP_ARGS, qwen_tokenizer, save_qwen, save_siglip
from transformers import AutoModelForCausalLM

from mmlite.models import NewLanguageModel, PretrainedLanguageModel, TimmVision
from mmlite.stages.weights import full_state, load_part, save_weights
from mmlite.tokenizers import pretrained_tokenizer


@pytest.fixture
def no_network(monkeypatch):
    """Online as far as libraries know, but every attempt to connect is an error."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"tried to connect: {args}")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(AssertionError, match="tried to connect"):
        socket.create_connection(("localhost", 1))


def test_local_folders_and_files_need_no_network(tmp_path, no_network):
    folder = str(save_qwen(tmp_path / "qwen"))
    weights = save_siglip(tmp_path / "siglip.safetensors")
    tokenizer = pretrained_tokenizer(folder)
    PretrainedLanguageModel(len(tokenizer), folder)
    TimmVision(SIGLIP, weights=str(weights), feature_layer=-2, model_args=SIGLIP_ARGS)


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_head_grow_by_the_mean_of_their_rows(tmp_path, tied):
    folder = save_qwen(tmp_path / "qwen", tied=tied)
    before = AutoModelForCausalLM.from_pretrained(folder)
    grown = PretrainedLanguageModel(323, str(folder))
    again = PretrainedLanguageModel(323, str(folder))
    head = grown.model.get_output_embeddings().weight
    for table, old in (
        (grown.table, before.get_input_embeddings().weight),
        (head, before.get_output_embeddings().weight),
    ):
        assert table.shape == (323, 16)
        assert torch.equal(table[:320], old)
        torch.testing.assert_close(table[320:], old.mean(dim=0).expand(3, 16))
    assert (head is grown.table) is tied
    assert grown.model.config.tie_word_embeddings is tied
    for name, tensor in grown.state_dict().items():  # nothing is drawn
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize("tied", [True, False])
def test_grown_models_are_handed_over(tmp_path, tied):
    folder = save_qwen(tmp_path / "qwen", tied=tied)
    trained = PretrainedLanguageModel(323, str(folder))
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    state = {f"language.{name}": tensor for name, tensor in full_state(trained).items()}
    assert any("lm_head" in name for name in state) is not tied
    save_weights(state, tmp_path / "weights.safetensors")
    again = PretrainedLanguageModel(323, str(folder))
    loaded = load_part(again, "language", tmp_path / "weights.safetensors")
    assert (loaded.missing, loaded.unexpected) == ((), ())
    for name, tensor in trained.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_a_smaller_tokenizer_leaves_the_tables_as_they_are(tmp_path):
    folder = save_qwen(tmp_path / "qwen")
    assert PretrainedLanguageModel(310, str(folder)).table.shape == (320, 16)


def test_an_unknown_attention_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"language\.attention: got 'fast', allowed: sdpa, eager"):
        PretrainedLanguageModel(320, str(save_qwen(tmp_path / "qwen")), attention="fast")


def test_an_image_token_is_added_where_it_is_missing(tmp_path):
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(tmp_path / "without")
    found = pretrained_tokenizer(str(tmp_path / "without"))
    assert len(found) == len(tokenizer) + 1
    number = found.convert_tokens_to_ids("<image>")
    assert number == len(tokenizer)
    assert found("a<image>\n")["input_ids"].count(number) == 1
    assert found.decode([number], skip_special_tokens=True) == ""
    found.save_pretrained(tmp_path / "with")
    assert len(pretrained_tokenizer(str(tmp_path / "with"))) == len(found)
    assert len(pretrained_tokenizer(str(tmp_path / "without"), "<|im_start|>")) == len(tokenizer)


def test_chat_templates_and_special_tokens_come_along(tmp_path):
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    found = pretrained_tokenizer(str(tmp_path))
    assert found.chat_template == tokenizer.chat_template
    assert (found.eos_token, found.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer\.name: got .*none.*there is no such folder"):
        pretrained_tokenizer(str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"tokenizer\.name: got .*cannot be loaded .*allowed: a l"):
        pretrained_tokenizer(str(tmp_path))


def test_a_model_without_the_files_of_a_tokenizer_is_refused(tmp_path):
    save_qwen(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"tokenizer\.name: got .*allowed: a local folder"):
        pretrained_tokenizer(str(tmp_path))


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path):
    config = save_qwen(tmp_path) / "config.json"
    told = json.loads(config.read_text())
    del told["layer_types"]
    config.write_text(json.dumps({**told, "num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"whose files lack 11 of .* such as model\.layers\.2"):
        PretrainedLanguageModel(320, str(tmp_path))


def change_config(folder, *, without=(), **fields):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in without}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"intermediate_size": 48}, r"6 have another shape .* 16 x \d+ in the files, 16 x 48 by"),
        (
            {"num_key_value_heads": 3},
            r"heads \d+ is no multiple of num_key_value_heads 3",
        ),
        ({"hidden_size": -4}, "hidden_size is -4"),
        ({"hidden_size": "big"}, "'hidden_size' expected int, got str"),
        ({"hidden_act": "nope"}, "'nope' is not known"),
        ({"model_type": "qwen99"}, "has model_type 'qwen99', where .* such as qwen3"),
        ({"model_type": "vit"}, "is a vit and no causal language model"),
        ({"without": ["model_type"]}, "has no model_type, where .* such as qwen3"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_in_one_sentence(tmp_path, fields, told):
    folder = save_qwen(tmp_path / "qwen")
    change_config(folder, **fields)
    with pytest.raises(ValueError, match=rf"language\.name: got .*{told}.*; allowed: a") as error:
        PretrainedLanguageModel(320, str(folder))
    assert "\n" not in str(error.value)


def test_sizes_of_a_new_model_that_do_not_go_together_are_named():
    fields = {"hidden_size": 30, "num_attention_heads": 4, "num_key_value_heads": 4}
    with pytest.raises(ValueError, match=r"language\.config: .*30.*multiple of .*4"):
        NewLanguageModel(20, "llama", {**fields, "head_dim": None})


def test_an_attention_that_is_not_installed_is_named():
    if importlib.util.find_spec("flash_attn") is not None:
        pytest.skip("flash-attn is installed")
    with pytest.raises(ValueError, match=r"language\.attention: got 'flash_attention_2', which c"):
        NewLanguageModel(20, "qwen3", {"num_hidden_layers": 1}, "flash_attention_2")


def test_flex_attention_does_not_learn_on_the_cpu():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 16}
    model = NewLanguageModel(20, "qwen3", {**sizes, **more}, "flex_attention")
    with pytest.raises(ValueError, match=r"language\.attention: got flex_attention on the CPU"):
        model(model.embed(torch.zeros(1, 2, dtype=torch.long)), None)


@pytest.mark.parametrize("load", [PretrainedLanguageModel, pretrained_tokenizer, TimmVision])
def test_a_mistyped_folder_is_refused_at_once(load, tmp_path, monkeypatch, no_network):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    given = (320, "models/qwen3") if load is PretrainedLanguageModel else ("models/qwen3",)
    with pytest.raises(ValueError, match=r"ame: got 'models/qwen3', but there is no such folder"):
        load(*given)
