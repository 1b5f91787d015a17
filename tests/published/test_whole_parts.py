"""`init_from` takes all weights of a part, and all the file has of it: nothing stays random."""

import logging

import pytest
import torch
from checkpoints import IMAGE_PX, PATCH_PX, VISION_DIM, VOCABULARY, AuthorsModel, save_whole
from safetensors.torch import save_file
from tiny import tiny_language_of

from mmlite.models import MLPProjector, TimmVision
from mmlite.stages.handover import take_part

TEXT = {"head_dim": 8, "intermediate_size": 32, "num_hidden_layers": 2}


def vision(depth=2, **arguments):
    args = {"img_size": IMAGE_PX, "patch_size": PATCH_PX, "embed_dim": VISION_DIM, "depth": depth}
    kind = {"num_heads": 2, "mlp_ratio": 20 / 12, "global_pool": ""}
    name = "vit_so400m_patch14_siglip_384"
    return TimmVision(name, model_args={**args, **kind}, **arguments)


def language(**more):
    return tiny_language_of("qwen3", VOCABULARY, **TEXT, **more)


def projector(*, is_tiled=False):
    made = MLPProjector(VISION_DIM, 16)
    if is_tiled:
        made.add_newline(16)
    return made


def authors(folder, *, without=(), tied=False, more=None):
    state = {**AuthorsModel(tied=tied).state(), **(more or {})}
    return save_whole({n: t for n, t in state.items() if not n.startswith(without)}, folder)


@pytest.mark.parametrize(
    ("part", "module", "without", "told"),
    [
        (
            "vision",
            lambda: vision(3),
            (),
            r"lacks 12 of the part's .*encoder\.blocks\.2.*allowed: all of them; build it",
        ),
        (
            "vision",
            lambda: vision(1),
            (),
            r"has 12 weights that .*no place for.*blocks\.1.*allowed: those.*feature_layer",
        ),
        (
            "language",
            language,
            ("model.layers.1.",),
            r"lacks 11 of the part's weights, such as model\.model\.layers\.1",
        ),
        ("projector", projector, ("model.mm_projector.2.",), r"lacks 2 .*layers\.2\.weight"),
        (
            "projector",
            lambda: projector(is_tiled=True),
            ("model.image_newline",),
            r"lacks 1 .*image_newline.*give a model that was trained on tiles, or see images at",
        ),
    ],
)
def test_a_part_that_would_stay_partly_random_is_refused(tmp_path, part, module, without, told):
    folder = authors(tmp_path / "model", without=without)
    with pytest.raises(ValueError, match=rf"init_from\.{part}: got {folder}, which {told}"):
        take_part(module(), part, folder)


def test_a_tied_head_is_no_head_of_its_own(tmp_path):
    folder = authors(tmp_path / "model", tied=True)
    take_part(language(tie_word_embeddings=True), "language", folder)
    with pytest.raises(ValueError, match=r"lacks 1 .*lm_head\.weight.*with its head tied to its"):
        take_part(language(tie_word_embeddings=False), "language", folder)


def test_a_head_of_its_own_does_not_replace_the_table(tmp_path):
    made = language(tie_word_embeddings=True)
    with pytest.raises(ValueError, match=r"embed_tokens\.weight and another .*one tensor in the"):
        take_part(made, "language", authors(tmp_path / "two"))
    same = AuthorsModel().state()["model.embed_tokens.weight"]
    take_part(made, "language", authors(tmp_path / "one", more={"lm_head.weight": same.clone()}))
    assert torch.equal(made.table, same)
    take_part(made, "language", authors(tmp_path / "head", without=("model.embed_tokens.",)))
    assert torch.equal(made.table, AuthorsModel().state()["lm_head.weight"])


def test_what_a_part_is_built_without_is_left_out_without_a_word(tmp_path, caplog):
    computed = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    folder = authors(tmp_path / "model", more=computed)
    with caplog.at_level(logging.WARNING):
        take_part(vision(feature_layer=-1), "vision", folder)
        take_part(vision(feature_layer=-2), "vision", folder)
        take_part(vision(3, feature_layer=-2), "vision", folder)
        take_part(language(tie_word_embeddings=False), "language", folder)
        take_part(projector(is_tiled=True), "projector", folder)
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        take_part(projector(), "projector", folder)
    assert caplog.messages == [
        f"init_from.projector: {folder}: image_newline is left out, for images are not seen in "
        "tiles"
    ]


def test_tiles_need_a_newline_that_is_given_or_learnt(tmp_path, caplog):
    without = {f"projector.{k}": v for k, v in projector().state_dict().items()}
    save_file(without, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"image_newline.*a run's own projector may also be train"):
        take_part(projector(is_tiled=True), "projector", tmp_path)
    with caplog.at_level(logging.WARNING):
        take_part(projector(is_tiled=True), "projector", tmp_path, is_trained=True)
    assert "has no image_newline: a new one is learnt" in caplog.text
