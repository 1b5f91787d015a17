"""The roomy cache holds what transformers' own holds, bit for bit."""

import torch
from tiny import tiny_language, tiny_language_of
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from mmlite.generation.cache import ROOM_TOKENS, RoomyLayer, roomy_cache


def test_keys_and_values_are_those_of_the_usual_layer_also_after_rows_left():
    roomy, usual = RoomyLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    rows = 4
    for step in range(2 * ROOM_TOKENS + 5):
        length = 7 if step == 0 else 1
        states = [torch.randn(rows, 2, length, 3, generator=generator) for _ in range(2)]
        for found, expected in zip(roomy.update(*states), usual.update(*states), strict=True):
            assert torch.equal(found, expected)
        assert roomy.get_seq_length() == usual.get_seq_length()
        if step in (3, ROOM_TOKENS + 1):
            kept = torch.tensor([0, rows - 1])
            roomy.batch_select_indices(kept)
            usual.batch_select_indices(kept)
            rows = 2
    roomy.reset()
    assert roomy.get_seq_length() == 0


def test_hidden_states_are_bit_identical():
    torch.manual_seed(0)
    language = tiny_language(18).eval()
    found = []
    for cache in (
        roomy_cache(language.model.config),
        DynamicCache(config=language.model.config),
    ):
        generator = torch.Generator().manual_seed(1)
        states = []
        seen = 0
        for length in (5, *[1] * 80):
            seen += length
            embeddings = torch.randn(3, length, language.dim, generator=generator)
            mask = torch.ones(3, seen, dtype=torch.bool)
            with torch.no_grad():
                states.append(language(embeddings, mask, None, cache))
        found.append(torch.cat(states, dim=1))
    assert torch.equal(*found)


def test_layers_of_other_kinds_stay_theirs():
    given = ["sliding_attention", "full_attention"]
    language = tiny_language_of("gemma3_text", 18, layer_types=given)
    kinds = [type(layer) for layer in roomy_cache(language.model.config).layers]
    assert kinds == [DynamicSlidingWindowLayer, RoomyLayer]
