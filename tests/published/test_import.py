"""`init_from` reads checkpoints of other programs, and the model computes what theirs computes."""

import json
import logging
from typing import Any

import pytest
import torch
from checkpoints import (
    IMAGE_PX,
    PATCH_PX,
    TEXT_DIM,
    VISION_DIM,
    VOCABULARY,
    AuthorsModel,
    random_language,
    random_tower,
    save_spread,
    save_whole,
    shaken,
)
from tiny import png, tiny_tokenizer
from torch.testing import assert_close
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
)

from mmlite.images import AnyRes, ImageTransform
from mmlite.interop.export.compare import picture
from mmlite.models import MLPProjector, NewLanguageModel, TimmVision
from mmlite.processor import Processor
from mmlite.records import ImageRef, Turn
from mmlite.stages import InstructionTuning
from mmlite.stages.weights import load_part

PARTS = ("vision", "projector", "language")


def language(vocabulary: int, *, tied: bool = False) -> NewLanguageModel:
    config = {
        "hidden_size": TEXT_DIM,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "tie_word_embeddings": tied,
    }
    return NewLanguageModel(VOCABULARY, "qwen3", config)


def vision() -> TimmVision:
    """SigLIP as the paper uses it: no pooling head, no norm after the last layer left."""
    args = {"img_size": IMAGE_PX, "patch_size": PATCH_PX, "embed_dim": VISION_DIM, "depth": 2}
    kind = {"num_heads": 2, "mlp_ratio": 20 / 12, "act_layer": "gelu_tanh"}
    return TimmVision(
        "vit_so400m_patch14_siglip_384",
        model_args={**args, **kind, "global_pool": "", "final_norm": False},
    )


def processor(image: ImageTransform | None = None) -> Processor:
    fixed = ImageTransform(size_px=IMAGE_PX, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    patches = (IMAGE_PX // PATCH_PX) ** 2
    return Processor(
        tiny_tokenizer(), image=image or fixed, tokens_per_tile=patches, max_tokens=512
    )


def stage(folder, *, tied: bool = False, image: ImageTransform | None = None) -> InstructionTuning:
    made = InstructionTuning(
        processor(image),
        language=lambda vocabulary: language(vocabulary, tied=tied),
        vision=vision,
        projector=MLPProjector,
        init_from=dict.fromkeys(PARTS, str(folder)),
    )
    made.configure_model()
    return made.eval()


def asked(made, *, seeds):
    """A batch of rows of different lengths, and the tokens around each image."""
    words = ["what is red ?", "look one two three , what is blue ?"]
    rows = []
    for number, seed in enumerate(seeds):
        images = () if seed is None else (ImageRef(data=png(seed, IMAGE_PX)),)
        text = "look " + "<image>" * len(images) + words[number % 2]
        rows.append(made.processor.encode((Turn("user", text),), images, answer=True))
    return rows, made.processor.collate(rows)


@torch.no_grad()
def all_logits(made, batch):
    model: Any = made.built
    hidden = model.language(model.embed(batch), batch.attention_mask)
    return [
        model.language.logits(row[mask])
        for row, mask in zip(hidden, batch.attention_mask, strict=True)
    ]


def around(ids, token):
    places = [place for place, one in enumerate(ids) if one == token]
    if not places:
        return list(ids), []
    return list(ids[: places[0]]), list(ids[places[-1] + 1 :])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("save", [save_whole, save_spread])
def test_the_authors_checkpoint_gives_the_authors_logits(tmp_path, tied, save):
    authors = AuthorsModel(tied=tied)
    made = stage(save(authors.state(), tmp_path / "model"), tied=tied)
    rows, batch = asked(made, seeds=[3, None, 4])
    images = iter(authors.project(batch.pixels))
    for row, mine in zip(rows, all_logits(made, batch), strict=True):
        before, after = around(row.input_ids, made.processor.image_token_id)
        image = next(images) if row.images else None
        assert_close(mine, authors.logits(before, image, after), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((16, 16), (1, 1)),
        ((12, 40), (1, 3)),
        ((20, 45), (2, 3)),
        ((50, 31), (3, 2)),
        ((40, 44), (3, 3)),
    ],
)
def test_the_authors_logits_at_any_resolution(tmp_path, size, grid):
    """The same weights, `image_newline` among them, and images of several shapes."""
    authors = AuthorsModel()
    image = AnyRes(size_px=IMAGE_PX, grid_rows=3, grid_columns=3, max_tiles=2)
    made = stage(save_whole(authors.state(), tmp_path / "model"), image=image)
    model: Any = made.built
    assert torch.equal(model.projector.image_newline, authors.newline)
    ref = picture(2, *size)
    row = made.processor.encode((Turn("user", "look <image> what ?"),), (ref,), answer=True)
    batch = made.processor.collate([row])
    assert (row.layouts[0].rows, row.layouts[0].columns) == grid
    before, after = around(row.input_ids, made.processor.image_token_id)
    expected = authors.logits(before, authors.anyres(batch.pixels, size, grid), after)
    assert_close(all_logits(made, batch)[0], expected, atol=1e-5, rtol=1e-5)


def llava(kind, config_kind, **more):
    torch.manual_seed(2)
    config = config_kind(
        vision_config=random_tower().config,
        text_config=random_language(tied=False).config,
        image_token_index=tiny_tokenizer().convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        **more,
    )
    model = kind(config).eval()
    shaken(model)
    return model


def old_name(name: str) -> str:
    """A name as transformers wrote it before 4.52."""
    if name == "lm_head.weight":
        return "language_model.lm_head.weight"
    name = name.removeprefix("model.")
    if name.startswith("language_model."):
        return "language_model.model." + name.removeprefix("language_model.")
    if name.startswith("vision_tower.") and "vision_model" not in name:
        return "vision_tower.vision_model." + name.removeprefix("vision_tower.")
    return name


@pytest.mark.parametrize("names", ["saved", "in memory", "old"])
def test_a_llava_of_transformers_gives_its_logits(tmp_path, names):
    theirs = llava(LlavaForConditionalGeneration, LlavaConfig)
    folder = tmp_path / "llava"
    state = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    if names == "saved":
        theirs.save_pretrained(folder, max_shard_size="20KB")
        assert (folder / "model.safetensors.index.json").is_file()
    elif names == "in memory":
        save_whole(state, folder)
    else:
        save_whole({old_name(name): tensor for name, tensor in state.items()}, folder)
    made = stage(folder)
    _, batch = asked(made, seeds=[5, 6])
    with torch.no_grad():
        expected = theirs(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            pixel_values=batch.pixels,
        ).logits
    for row, mask, mine in zip(
        expected, batch.attention_mask, all_logits(made, batch), strict=True
    ):
        assert_close(mine, row[mask], atol=1e-5, rtol=1e-5)


def test_parts_come_from_a_llava_onevision_of_transformers(tmp_path, caplog):
    grid = [[IMAGE_PX, IMAGE_PX]]
    theirs = llava(
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionConfig,
        image_grid_pinpoints=grid,
        video_token_index=VOCABULARY - 1,
    )
    theirs.save_pretrained(tmp_path / "onevision")
    with caplog.at_level(logging.WARNING):
        made = stage(tmp_path / "onevision")
    model: Any = made.built
    # At a fixed resolution nothing takes it; the last norm is left out without a word.
    (told,) = [record.getMessage() for record in caplog.records]
    assert "image_newline is left out" in told
    connector = theirs.model.multi_modal_projector
    assert_close(model.projector.layers[2].weight, connector.linear_2.weight)
    features = torch.randn(2, 3, IMAGE_PX, IMAGE_PX)
    with torch.no_grad():
        expected = theirs.model.vision_tower(features, output_hidden_states=True).hidden_states[-1]
        assert_close(model.vision(features), expected, atol=1e-5, rtol=0)


def test_single_parts_come_from_plain_models(tmp_path):
    torch.manual_seed(3)
    tower, plain = random_tower(head=True), random_language(tied=True)
    tower.save_pretrained(tmp_path / "siglip")
    plain.save_pretrained(tmp_path / "qwen")
    mine, text = vision(), language(VOCABULARY, tied=True)
    assert not load_part(mine, "vision", tmp_path / "siglip").missing
    assert load_part(text, "language", tmp_path / "qwen").missing == ()
    pixels = torch.randn(2, 3, IMAGE_PX, IMAGE_PX)
    ids = torch.arange(6).unsqueeze(0)
    with torch.no_grad():
        hidden = tower(pixels, output_hidden_states=True).hidden_states[-1]
        assert_close(mine(pixels), hidden, atol=1e-5, rtol=0)
        logits = text.logits(text(text.embed(ids), None)[0])
        assert_close(logits, plain(ids).logits[0], atol=1e-5, rtol=0)
    state = {n: t.clone() for n, t in mine.encoder.state_dict().items()}
    fresh = vision()
    load_part(fresh, "vision", save_whole(state, tmp_path / "timm"))
    assert all(torch.equal(fresh.state_dict()[f"encoder.{n}"], t) for n, t in state.items())


@pytest.mark.parametrize("rows", [VOCABULARY - 5, VOCABULARY + 40])
def test_tables_rounded_to_other_sizes_share_their_first_rows(tmp_path, caplog, rows):
    plain = random_language(tied=False, vocabulary=rows)
    plain.save_pretrained(tmp_path / "qwen")
    text = language(VOCABULARY)
    before = text.table.detach().clone()
    with caplog.at_level(logging.WARNING):
        load_part(text, "language", tmp_path / "qwen")
    common = min(rows, VOCABULARY)
    assert f"has {rows} rows in the file and {VOCABULARY} in the model" in caplog.text
    assert torch.equal(text.table[:common], plain.model.embed_tokens.weight[:common])
    assert torch.equal(text.table[common:], before[common:])


def test_quite_another_vocabulary_is_refused(tmp_path):
    random_language(tied=True, vocabulary=3000).save_pretrained(tmp_path / "qwen")
    with pytest.raises(ValueError, match=r"embed_tokens.weight is \(3000, 16\) in the file"):
        load_part(language(VOCABULARY), "language", tmp_path / "qwen")


def test_bad_checkpoints_are_refused_by_name(tmp_path):
    state = AuthorsModel().state()
    with pytest.raises(ValueError, match="or a safetensors file; run the stage that makes it"):
        load_part(vision(), "vision", tmp_path)
    folder = save_spread(state, tmp_path / "spread")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ValueError, match=r"index.json names model-00002-of-00003.safetensors, wh"):
        load_part(vision(), "vision", folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../../etc/passwd"}}))
    with pytest.raises(ValueError, match=r"names passwd, which are not beside it"):
        load_part(vision(), "vision", folder)
    index.write_text("{")
    with pytest.raises(ValueError, match=r"index.json cannot be read .*allowed: a whole safet"):
        load_part(vision(), "vision", folder)
    text_only = {n: t for n, t in state.items() if "vision_tower" not in n}
    folder = save_whole(text_only, tmp_path / "text")
    with pytest.raises(ValueError, match="has no weights of vision, allowed: language, projector"):
        load_part(vision(), "vision", folder)
    folder = save_whole({"odd.weight": torch.zeros(2)}, tmp_path / "odd")
    with pytest.raises(ValueError, match=r"allowed: odd; or names as in the layout of LLaVA-NeXT"):
        load_part(vision(), "vision", folder)
    conv = save_whole({"stem.0.weight": torch.zeros(2)}, tmp_path / "conv")
    with pytest.raises(ValueError, match=r"no name is in both; build the part of the kind"):
        load_part(vision(), "vision", conv)
