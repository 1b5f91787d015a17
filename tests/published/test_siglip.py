"""SigLIP under timm's names and under transformers': the same bits, the same features."""

from typing import Any

import pytest
import timm
import torch
from checkpoints import IMAGE_PX, PATCH_PX, VISION_DIM, random_tower, shaken
from torch.testing import assert_close

from mmlite.published import siglip_to_timm, timm_to_siglip


def timm_tower(*, layers: int = 2, head: bool = True) -> Any:
    return timm.create_model(
        "vit_so400m_patch14_siglip_384",
        num_classes=0,
        img_size=IMAGE_PX,
        patch_size=PATCH_PX,
        embed_dim=VISION_DIM,
        depth=layers,
        num_heads=2,
        mlp_ratio=20 / 12,
        act_layer="gelu_tanh",
        global_pool="map" if head else "",
    ).eval()


@pytest.mark.parametrize("head", [False, True])
def test_features_and_pooled_outputs_agree(head):
    torch.manual_seed(0)
    theirs = random_tower(head=head)
    ours = timm_tower(head=head)
    state = {name.removeprefix("vision_model."): t for name, t in theirs.state_dict().items()}
    state["embeddings.position_ids"] = torch.arange(4)[None]  # as some programs store it
    ours.load_state_dict(siglip_to_timm(state), strict=True)
    pixels = torch.randn(3, 3, IMAGE_PX, IMAGE_PX)
    with torch.no_grad():
        output = theirs(pixels)
        assert_close(ours.forward_features(pixels), output.last_hidden_state, atol=1e-5, rtol=0)
        if head:
            assert_close(ours(pixels), output.pooler_output, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back_is_bit_exact(dtype):
    tower = timm_tower()
    shaken(tower)
    weights = {name: tensor.to(dtype) for name, tensor in tower.state_dict().items()}
    there = timm_to_siglip(weights)
    back = siglip_to_timm(there)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    again = timm_to_siglip(back)
    assert again.keys() == there.keys()
    assert all(torch.equal(again[name], there[name]) for name in there)


def test_the_names_are_all_that_transformers_has():
    made = timm_to_siglip(timm_tower().state_dict())
    theirs = {name.removeprefix("vision_model.") for name in random_tower(head=True).state_dict()}
    assert made.keys() == theirs


def test_other_encoders_are_refused():
    weights = {"cls_token": torch.zeros(1, 1, 4), "pos_embed": torch.zeros(1, 5, 4)}
    with pytest.raises(ValueError, match=r"got cls_token, allowed: timm' names of a SigLIP"):
        timm_to_siglip(weights)
    with pytest.raises(ValueError, match=r"got embeddings.class_embedding, allowed: transformers'"):
        siglip_to_timm({"embeddings.class_embedding": torch.zeros(4)})
    half = {"encoder.layers.0.self_attn.q_proj.weight": torch.zeros(4, 4)}
    with pytest.raises(ValueError, match=r"only q_proj of blocks.0.attn.qkv.weight, allowed: all"):
        siglip_to_timm(half)
