"""What prompts about the same image share is read once, and nothing that is written changes."""

import pytest
import torch
from tiny import WORDS, png, tiny_language_of, tiny_processor, tiny_projector, tiny_vision

from mmlite.generation import Decoding, Engine, Request, engine
from mmlite.generation.batch_decoder import BatchDecoder
from mmlite.generation.prefixes import Prompts, split_prompts
from mmlite.models import NewLanguageModel, VisionLanguageModel
from mmlite.processor import Encoded
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

    monkeypatch.setattr(engine, "BatchDecoder", Watched)
    return prompts


LEARNT_POSITIONS = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}


def build_engine(model_type: str, **more) -> Engine:
    torch.manual_seed(1)
    processor = tiny_processor(tiles=4)
    vision = tiny_vision()
    if model_type == "gpt2":
        language = NewLanguageModel(processor.vocabulary_size, "gpt2", LEARNT_POSITIONS)
    else:
        language = tiny_language_of(model_type, processor.vocabulary_size, **more)
    projector = tiny_projector(vision.dim, language.dim)
    model = VisionLanguageModel(
        language, vision, projector, image_token_id=processor.image_token_id
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    return Engine(model.eval(), processor)


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
    assert prompts.prefixes is not None
    assert len(prompts.prefixes.input_ids) == 4
    assert len(prompts.prefixes.pixels) == 3 * 4
    alone = [engine.generate([request], decoding)[0] for request in asked()]
    assert together == alone
    assert len({one.text for one in alone}) > 2
    assert all(one.prefixes is None for one in given[1:])


def test_models_that_keep_the_last_keys_alone_are_given_whole_prompts(given):
    engine = build_engine("mistral", sliding_window=8)
    together = engine.generate(asked(), DECODINGS[0])
    assert [one.prefixes for one in given] == [None]
    assert together == [engine.generate([request], DECODINGS[0])[0] for request in asked()]
