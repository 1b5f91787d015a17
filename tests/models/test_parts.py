"""Parts of a model: projectors, vision encoders, language models."""

import pytest
import torch
from tiny import tiny_language, tiny_language_of, tiny_vision
from torch import nn
from transformers import AutoModelForCausalLM

from mmlite.models import (
    LinearProjector,
    MLPProjector,
    NewLanguageModel,
    PixelShuffleMLP,
    PretrainedLanguageModel,
    TimmVision,
    count_non_embedding,
    count_parameters,
    merge_patches,
)
from mmlite.models.fingerprint import weights_fingerprint


def features(tiles=2, patches=16, dim=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(tiles, patches, dim, generator=generator)


def test_linear_is_one_layer():
    projector, layer = LinearProjector(3, 5), nn.Linear(3, 5)
    layer.load_state_dict(projector.layer.state_dict())
    torch.testing.assert_close(projector(features()), layer(features()))
    assert projector.num_tokens(16) == projector(features()).shape[1] == 16


@pytest.mark.parametrize(("hidden", "width"), [(None, 5), (7, 7)])
def test_mlp_is_two_layers_with_a_gelu(hidden, width):
    projector = MLPProjector(3, 5, hidden)
    first, last = nn.Linear(3, width), nn.Linear(width, 5)
    first.load_state_dict(projector.layers[0].state_dict())
    last.load_state_dict(projector.layers[2].state_dict())
    expected = last(nn.functional.gelu(first(features())))
    torch.testing.assert_close(projector(features()), expected)
    assert projector.num_tokens(16) == 16


def test_merging_puts_squares_of_patches_side_by_side():
    rows = torch.arange(16.0).reshape(1, 16, 1)  # a 4 x 4 grid, numbered in reading order
    assert merge_patches(rows, 2)[0].tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_pixel_shuffle_projects_merged_squares():
    projector = PixelShuffleMLP(3, 5, 2, hidden_dim=6)
    merged = merge_patches(features(), 2)
    torch.testing.assert_close(projector(features()), projector.layers(merged))
    assert projector.layers[1].weight.shape == (6, 12)
    assert projector.num_tokens(16) == projector(features()).shape[1] == 4


@pytest.mark.parametrize("patches", [15, 9])
def test_a_grid_that_cannot_be_merged_is_refused(patches):
    with pytest.raises(ValueError, match=f"got 2 for {patches} patches, allowed: a square"):
        PixelShuffleMLP(3, 5, 2).num_tokens(patches)


def test_class_tokens_are_no_patches():
    args = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2}
    vision = TimmVision("vit_tiny_patch16_224", model_args=args)
    pixels = torch.randn(2, 3, 16, 16)
    assert vision.encoder.num_prefix_tokens == 1
    assert (vision.num_patches, vision.dim) == (16, 12)
    torch.testing.assert_close(vision(pixels), vision.encoder.forward_features(pixels)[:, 1:])


def test_maps_of_convolutional_encoders_are_read_row_by_row():
    args = {"depths": (1, 1, 1, 1), "dims": (4, 4, 4, 6)}
    vision = TimmVision("convnext_atto", model_args=args).eval()
    pixels = torch.randn(1, 3, 64, 96)
    found, grid = vision(pixels), vision.encoder.forward_features(pixels)
    assert grid.shape == (1, 6, 2, 3)
    torch.testing.assert_close(found[0, 4], grid[0, :, 1, 1])
    assert (vision.num_patches, vision.dim) == (49, 6)


def test_maps_with_channels_last_are_read_row_by_row():
    args = {"img_size": 32, "window_size": 2, "embed_dim": 4, "depths": (1, 1), "num_heads": (1, 1)}
    vision = TimmVision("swin_tiny_patch4_window7_224", model_args=args).eval()
    pixels = torch.randn(1, 3, 32, 32)
    found, grid = vision(pixels), vision.encoder.forward_features(pixels)
    assert grid.shape == (1, 4, 4, 8)
    torch.testing.assert_close(found[0, 6], grid[0, 1, 2])
    assert (vision.num_patches, vision.dim) == (16, 8)


def test_an_unknown_encoder_is_named_with_near_ones():
    with pytest.raises(ValueError, match=r"model_name: got 'vit_tinny', allowed: .*vit_"):
        TimmVision("vit_tinny")


def test_fingerprints_tell_weights_and_settings_apart():
    torch.manual_seed(0)
    one, other = tiny_vision(), tiny_vision()
    assert weights_fingerprint(one) != weights_fingerprint(other)
    other.load_state_dict(one.state_dict())
    assert weights_fingerprint(one) == weights_fingerprint(other)
    other.train(not other.training)
    other.is_published = not other.is_published
    assert weights_fingerprint(one) == weights_fingerprint(other)
    other.encoder.blocks[0].attn.num_heads = 4  # the same weights, another function
    assert weights_fingerprint(one) != weights_fingerprint(other)


def test_fingerprints_tell_configurations_apart():
    made = []
    for theta, attention in ((1e4, "sdpa"), (1e6, "sdpa"), (1e4, "eager")):
        rope = {"rope_type": "default", "rope_theta": theta}
        language = tiny_language_of("qwen3", 18, attention, rope_parameters=rope)
        language.load_state_dict((made or [language])[0].state_dict())
        made.append(language)
    one, other, slower = map(weights_fingerprint, made)
    assert one != other
    assert one == slower  # the same numbers by another kernel


def test_parameters_are_counted_with_and_without_the_table():
    language = tiny_language(18)
    assert count_parameters(language) - count_non_embedding(language) == 18 * 16  # tied: once
    untied = NewLanguageModel(18, config={"hidden_size": 16, "tie_word_embeddings": False})
    assert count_parameters(untied) - count_non_embedding(untied) == 2 * 18 * 16


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="model_type: got 'qwen33', allowed: an architecture"):
        NewLanguageModel(18, "qwen33")


def test_an_unknown_field_is_refused_with_near_ones():
    with pytest.raises(ValueError, match=r"config: got hiden_size, allowed: .*hidden_size"):
        NewLanguageModel(18, config={"hiden_size": 16})


@pytest.mark.parametrize("name", ["qwen3", "llama", "gemma3_text"])
def test_other_architectures_split_into_body_and_head(name):
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    torch.manual_seed(0)
    language = NewLanguageModel(18, name, {**shape, **heads, "pad_token_id": 0}).eval()
    ids = torch.arange(1, 7).reshape(2, 3)
    hidden = language(language.embed(ids), torch.ones(2, 3, dtype=torch.bool))
    expected = language.model(input_ids=ids).logits
    torch.testing.assert_close(language.logits(hidden.flatten(0, 1)), expected.flatten(0, 1))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    language = tiny_language(18)
    language.model.save_pretrained(tmp_path / "saved")
    return language, tmp_path / "saved"


def test_a_saved_model_comes_back(saved):
    language, folder = saved
    again = PretrainedLanguageModel(18, str(folder))
    assert again.dim == 16
    for name, tensor in language.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_embeddings_grow_to_a_larger_tokenizer(saved):
    language, folder = saved
    again = PretrainedLanguageModel(20, str(folder), dtype="bfloat16")
    table = again.embed(torch.arange(20)[None])[0]
    assert table.dtype == torch.bfloat16
    assert torch.equal(table[:18], language.embed(torch.arange(18)[None])[0].bfloat16())
    assert again.logits(torch.zeros(1, 16, dtype=torch.bfloat16)).shape == (1, 20)


def test_a_folder_without_safetensors_is_refused(saved):
    _, folder = saved
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")  # pickled: may run code
    with pytest.raises(ValueError, match=r"language\.name: got .*cannot be loaded.*safetensors"):
        PretrainedLanguageModel(18, str(folder))


def test_a_missing_folder_and_a_wrong_type_are_refused(saved, tmp_path):
    with pytest.raises(ValueError, match=r"language\.name: got .*none.*there is no such folder"):
        PretrainedLanguageModel(18, str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"language\.dtype: got 'float23', allowed: float32, bf"):
        PretrainedLanguageModel(18, str(saved[1]), dtype="float23")
