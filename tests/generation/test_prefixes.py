"""What prompts about the same image share is read once, and nothing that is written changes."""

from functools import partial

import pytest
from generation.engines import wide_engine
from tiny import (
    WORDS,
    png,
    tiny_anyres,
    tiny_language_of,
    tiny_processor,
)

from mmlite.features import FeatureCache
from mmlite.generation import Decoding, Engine, Request, batch_decoder, fixed
from mmlite.generation import engine as engine_module
from mmlite.generation.batch_decoder import BatchDecoder
from mmlite.generation.prefixes import Prompts, split_prompts
from mmlite.models import LanguageModel, NewLanguageModel
from mmlite.processor import Encoded, Processor
from mmlite.records import ImageRef, Turn

IMAGE = 99
REFS = [ImageRef(data=png(number)) for number in range(3)]
DECODINGS = [
    Decoding(max_new_tokens=20),
    Decoding(max_new_tokens=20, temperature=1.5, top_p=0.9, top_k=8, seed=7),
]


def row(ids: list[int], *images: int) -> Encoded:
    return Encoded(tuple(ids), tuple(ids), tuple(REFS[number] for number in images))


def test_prompts_are_split_behind_what_those_about_the_same_images_share():
    seen, other = [1, *[IMAGE] * 9, 2], [1, *[IMAGE] * 9, 3]
    rows = [
        row([*seen, 5, 6, 7], 0),
        row([*other, 5, 6], 1),
        row([*seen, 5, 8], 0),
        row([4, 5, 6]),
        row([*seen, 5, 6, 9], 0),
    ]
    split = split_prompts(rows, IMAGE)
    assert split is not None
    assert split.prefix_of == [0, 1, 0, 2, 0]
    assert [list(part.input_ids) for part in split.prefixes] == [[*seen, 5], [*other, 5], [4, 5]]
    assert [list(part.input_ids) for part in split.rests] == [[6, 7], [6], [8], [6], [6, 9]]
    assert [part.images for part in split.prefixes] == [(REFS[0],), (REFS[1],), ()]
    assert all(part.images == () for part in split.rests)
    assert all(part.labels == part.input_ids for part in (*split.prefixes, *split.rests))


@pytest.mark.parametrize(
    "rows",
    [
        [row([*[IMAGE] * 9, 5, 6], 0), row([*[IMAGE] * 9, 5, 6], 1)],  # each about its own
        [row([4, *[IMAGE] * 9, 6], 0), row([5, *[IMAGE] * 9, 6], 0)],  # the image comes later
        [row([1, 2, 3, 4, 5, 6]), row([1, 2, 3, 4, 5, 7])],  # no images
        [row([IMAGE, 5, 6, 7, 8, 9], 0), row([IMAGE, 7, 8, 9, 5, 6], 0)],  # saves too little
        [row([*[IMAGE] * 9, 5, 6], 0)] * 2 + [row([4])],  # nothing stands before its only token
        [row([*[IMAGE] * 9, 2, last], 0) for last in range(8)] + [row([1, *[IMAGE] * 9], 1)],
        [row([*[IMAGE] * 9, 5], 0)] * 40  # much wider: 9 tokens, then 7
        + [row([IMAGE, IMAGE, *range(start, start + 7)], 1) for start in (1, 11)],
    ],
)
def test_prompts_stay_whole_where_nothing_is_saved(rows: list[Encoded]):
    assert split_prompts(rows, IMAGE) is None


def test_scenes_are_not_told_apart_and_stay_whole():
    scene = ImageRef(scene={"seed": 1})
    rows = [Encoded((*[IMAGE] * 9, 5, last), (0,) * 11, (scene,)) for last in (6, 7)]
    assert split_prompts(rows, IMAGE) is None


@pytest.fixture
def given(monkeypatch) -> list[Prompts]:
    """What decoders were given."""
    prompts: list[Prompts] = []

    class Watched(BatchDecoder):
        def __init__(self, model, asked, **kwargs):
            prompts.append(asked)
            super().__init__(model, asked, **kwargs)

    monkeypatch.setattr(engine_module, "BatchDecoder", Watched)
    return prompts


LEARNT_POSITIONS = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}


def build_engine(model_type: str, processor: Processor | None = None, **more) -> Engine:
    own = {"gpt2": LEARNT_POSITIONS, "gpt_neo": more, "phi3": more}
    attention = "eager" if model_type == "gpt_neo" else "sdpa"

    def build(vocabulary_size: int) -> LanguageModel:
        if model_type in own:
            return NewLanguageModel(vocabulary_size, model_type, own[model_type], attention)
        return tiny_language_of(model_type, vocabulary_size, **more)

    return wide_engine(build, processor or tiny_processor(tiles=4))


def asked() -> list[Request]:
    """Questions of various lengths about two images, one about another, one about none."""
    images = [ImageRef(data=png(number, 32)) for number in range(3)]
    requests = [
        Request((Turn("user", "<image> " + " ".join(WORDS[: 1 + n % 4])),), (images[n % 2],))
        for n in range(10)
    ]
    return [
        *requests,
        Request((Turn("user", "<image> red"),), (images[2],)),
        Request((Turn("user", "what is red ?"),)),
    ]


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("model_type", ["qwen3", "llama", "gpt2"])
def test_texts_are_those_of_whole_prompts(model_type: str, decoding: Decoding, given):
    engine = build_engine(model_type)
    together = engine.generate(asked(), decoding)
    (prompts,) = given
    assert prompts.beginnings is not None
    assert len(prompts.beginnings.batch.input_ids) == 4
    assert len(prompts.beginnings.batch.pixels) == 3 * 4
    alone = [engine.generate([request], decoding)[0] for request in asked()]
    assert together == alone
    assert len({one.text for one in alone}) > 2
    assert all(one.beginnings is None for one in given[1:])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_what_is_begun_with_once_is_gone_on_with_in_steps_of_one_shape(
    attention: str, given, monkeypatch
):
    engine = build_engine("qwen3")
    engine.model.language.model.set_attn_implementation(attention)
    expected = engine.generate(asked(), DECODINGS[1])
    monkeypatch.setattr(batch_decoder, "STEPS_BEFORE", 2)
    monkeypatch.setattr(fixed, "LEAST_STEPS", 2)
    watched = engine_module.BatchDecoder
    monkeypatch.setattr(engine_module, "BatchDecoder", partial(watched, is_fixed=True))
    assert engine.generate(asked(), DECODINGS[1]) == expected
    assert all(one.beginnings is not None for one in given)


@pytest.mark.parametrize("is_cached", [False, True])
def test_images_in_tiles_and_several_of_them_are_shared_too(is_cached: bool, given):
    features = FeatureCache() if is_cached else None
    processor = tiny_anyres(features=features)
    engine = build_engine("qwen3", processor=processor)
    if features is not None:
        features.open("encoder")
    one, two = (ImageRef(data=png(number, 32, 48)) for number in range(2))
    requests = [
        Request((Turn("user", "<image> what <image> " + " ".join(WORDS[: 1 + n % 5])),), images)
        for n in range(10)
        for images in [(one, two) if n % 2 else (two, one)]
    ]
    together = engine.generate(requests, DECODINGS[0])
    assert given[0].beginnings is not None
    assert len(given[0].beginnings.batch.input_ids) == 2
    assert together == [engine.generate([request], DECODINGS[0])[0] for request in requests]


NEO = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 32}
NOT_SHARED = {
    "mistral": {"sliding_window": 8},
    "gpt_neo": {**NEO, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "phi3": {
        **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "intermediate_size": 32},
        "max_position_embeddings": 128,
        "original_max_position_embeddings": 24,
        "pad_token_id": 0,
        "rope_parameters": {
            **{"rope_type": "longrope", "rope_theta": 10000.0},
            **{"short_factor": [1.0] * 4, "long_factor": [4.0] * 4},
            "original_max_position_embeddings": 24,
        },
    },
    "llama": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
}


@pytest.mark.parametrize("model_type", NOT_SHARED)
def test_models_whose_keys_depend_on_what_is_read_with_them_are_given_whole_prompts(
    model_type: str, given
):
    engine = build_engine(model_type, **NOT_SHARED[model_type])
    together = engine.generate(asked(), DECODINGS[0])
    assert given
    assert {one.beginnings for one in given} == {None}
    assert together == [engine.generate([request], DECODINGS[0])[0] for request in asked()]
