"""Model FLOPs are those that PyTorch counts, for real models of small sizes."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import LanguageShape, VisionShape, Work, decoding_flops, training_flops
from mmlite.models import NewLanguageModel, TimmVision

LANGUAGE = LanguageShape(
    width=32, layers=3, inner=48, heads=4, kv_heads=2, head_dim=16, vocabulary=70
)
VISION = VisionShape(width=24, layers=2, inner=96, patch_px=8, patches=16)


def build_language() -> NewLanguageModel:
    config = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    }
    return NewLanguageModel(70, "qwen3", config, attention="eager")


@pytest.mark.parametrize("learns", [True, False])
def test_language_and_head_are_what_pytorch_counts(learns: bool):
    language = build_language().requires_grad_(learns)
    tokens, head_rows = 9, 4
    embeddings = torch.randn(1, tokens, 32, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        hidden = language(embeddings, torch.ones(1, tokens, dtype=torch.bool))
        language.logits(hidden[0, :head_rows]).sum().backward()
    work = Work(tiles=0, lengths=(tokens,), head_rows=head_rows)
    names = ("language",) if learns else ()
    # Eager attention looks at all tokens, a causal one at (n + 1) / 2 of n.
    _, looking = LANGUAGE.sequence(tokens)
    unseen = 3 * looking * (2 * tokens / (tokens + 1) - 1)
    found = training_flops(work, VISION, LANGUAGE, learns=names)
    assert counter.get_total_flops() == pytest.approx(found + unseen)


@pytest.mark.parametrize("learns", [True, False])
def test_an_encoder_is_what_pytorch_counts(learns: bool):
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    vision = TimmVision(
        "vit_tiny_patch16_224", model_args={**size, "class_token": False, "global_pool": ""}
    )
    vision.requires_grad_(learns)
    # Written out as products, attention is counted alike in every version of PyTorch.
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.set_grad_enabled(learns):
        features = vision(torch.randn(3, 3, 32, 32))
        if learns:
            features.sum().backward()
    work = Work(tiles=3, lengths=(), head_rows=0)
    names = ("vision",) if learns else ()
    whole = training_flops(work, VISION, LANGUAGE, learns=names)
    projector = 2 * 3 * 16 * (24 * 32 + 32 * 32) * (2 if learns else 1)
    patches = 3 * 2 * 16 * 3 * 8**2 * 24 if learns else 0  # pixels need no gradient
    assert counter.get_total_flops() == pytest.approx(whole - projector - patches)


def test_updates_in_the_place_of_weights_cost_a_gradient_less():
    work = Work(tiles=2, lengths=(30, 20), head_rows=10)
    learns = ("projector", "language")
    whole = training_flops(work, VISION, LANGUAGE, learns=learns)
    updates = training_flops(work, VISION, LANGUAGE, learns=learns, adapter_rank=1)
    saved = 2 * (50 * 3 * LANGUAGE.block_weights + 10 * 32 * 70)
    assert whole - updates == saved - 3 * 2 * 50 * LANGUAGE.adapter_weights(1)


def test_the_paper_has_the_parameters_its_names_say():
    for shape, millions in (
        (LanguageShape(), 440),
        (LanguageShape(width=2048, inner=6144), 1409),
    ):
        assert shape.layers * shape.block_weights == pytest.approx(millions * 1e6, rel=0.01)
    assert VisionShape().layers * VisionShape().block_weights == pytest.approx(396e6, rel=0.01)


def test_decoding_reads_the_prompt_once_and_runs_the_head_on_what_is_written():
    one, two = (decoding_flops(10, written, LANGUAGE) for written in (1, 2))
    matrices, looking = LANGUAGE.sequence(12)
    before = LANGUAGE.sequence(11)
    assert two - one == matrices + looking - sum(before) + 2 * 32 * 70
