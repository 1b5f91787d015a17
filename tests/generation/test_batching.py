"""The engine writes what each request alone would get, as transformers would."""

import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from generation.engines import wide_engine
from tiny import WORDS, png, tiny_language, tiny_processor
from torch import Tensor

from mmlite.chat import ChatTemplate
from mmlite.generation import Decoding, Engine, Generation, Request
from mmlite.generation.cache import lengths_alike_from
from mmlite.models import NewLanguageModel, VisionLanguageModel
from mmlite.processor import Processor
from mmlite.records import ImageRef, Turn

GREEDY = Decoding(max_new_tokens=12)
SAMPLED = Decoding(max_new_tokens=12, temperature=1.3, top_k=12, top_p=0.95, seed=5)


@pytest.fixture
def engine() -> Engine:
    """A random model whose texts differ from prompt to prompt and end at various lengths."""
    return wide_engine(tiny_language, tiny_processor())


def text_request(number: int) -> Request:
    words = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 2 + number % 7)]
    return Request((Turn("user", " ".join(words)),))


def image_request(number: int) -> Request:
    text = f"<image> {WORDS[number % 5]} ?" if number % 2 else "what <image> is red ?"
    return Request((Turn("user", text),), (ImageRef(data=png(number)),))


def requests() -> list[Request]:
    """Different lengths, some with images, in no order."""
    return [text_request(n) if n % 3 else image_request(n) for n in range(24)]


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_batched_equals_unbatched(engine: Engine, decoding: Decoding):
    batched = engine.generate(requests(), decoding)
    alone = [engine.generate([request], decoding)[0] for request in requests()]
    assert batched == alone
    small = Engine(engine.model, engine.processor, max_batch_tokens=100)
    assert small.generate(requests(), decoding) == alone
    # The comparison can see something: texts differ, some end early, some are cut.
    assert len({generation.text for generation in alone}) > 5
    assert {generation.finished for generation in alone} == {True, False}
    assert len({len(generation.token_ids) for generation in alone}) > 3


SMALL = {"hidden_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
KEPT = {
    "mamba": {**SMALL, "state_size": 4},
    "lfm2": {**SMALL, **HEADS, "layer_types": ["conv", "full_attention"]},
    "llama": {**SMALL, **HEADS, "max_position_embeddings": 16, "rope_parameters": DYNAMIC},
}
"""Models that would read a prompt otherwise beside longer ones."""


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_what_is_kept_besides_keys_is_of_each_request_alone(kind: str, decoding: Decoding):
    attention = "eager" if kind == "mamba" else "sdpa"
    engine = wide_engine(
        lambda size: NewLanguageModel(size, kind, KEPT[kind], attention), tiny_processor()
    )
    batched = engine.generate(requests(), decoding)
    alone = [engine.generate([request], decoding)[0] for request in requests()]
    assert [one.token_ids for one in batched] == [one.token_ids for one in alone]
    assert len({one.text for one in alone}) > 3


def test_positions_of_short_prompts_need_no_batch_of_one_length():
    long = {**KEPT["llama"], "max_position_embeddings": 4096}
    for config, expected in ((long, 4096), (KEPT["llama"], 16), ({**SMALL, **HEADS}, math.inf)):
        assert lengths_alike_from(NewLanguageModel(18, "llama", config)) == expected
    engine = wide_engine(lambda size: NewLanguageModel(size, "llama", long), tiny_processor())
    batches: list[int] = []
    batched = engine.generate(requests(), GREEDY, progress=batches.append)
    assert batches == [len({engine.request_key(request) for request in requests()})]
    alone = [engine.generate([request], GREEDY)[0] for request in requests()]
    assert [one.token_ids for one in batched] == [one.token_ids for one in alone]


def test_greedy_equals_transformers(engine: Engine):
    texts = [text_request(number) for number in range(12)]
    ours = engine.generate(texts, GREEDY)
    for request, generation in zip(texts, ours, strict=True):
        ids = torch.tensor([engine.processor.encode(request.turns, answer=True).input_ids])
        output = engine.model.language.model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=list(engine.stop_ids),
            pad_token_id=engine.processor.pad_id,
        )
        written = output[0, ids.shape[1] :].tolist()
        end = [engine.processor.end_ids[0]] if generation.finished else []
        assert [*generation.token_ids, *end] == written


def test_tokens_are_the_likeliest_of_one_forward_pass_over_right_padded_rows(engine: Engine):
    """Cache, left padding and positions change no logit: teacher forcing chooses the same."""
    generations = engine.generate(requests(), GREEDY)
    processor = engine.processor
    encoded = [processor.encode(r.turns, r.images, answer=True) for r in requests()]
    conversations = [
        processor.encode((*r.turns, Turn("assistant", g.text)), r.images)
        for r, g in zip(requests(), generations, strict=True)
    ]
    batch = processor.collate(conversations)
    with torch.no_grad():
        hidden = engine.model.language(engine.model.embed(batch), batch.attention_mask)
        likeliest = engine.model.language.logits(hidden.flatten(0, 1)).argmax(-1)
    likeliest = likeliest.reshape(batch.input_ids.shape)
    checked = 0
    for row, (prompt, generation) in enumerate(zip(encoded, generations, strict=True)):
        start, length = len(prompt.input_ids), len(generation.token_ids)
        written = conversations[row].input_ids[start : start + length]
        if written != generation.token_ids:
            continue  # special tokens that a random model wrote are not in the text
        chosen = likeliest[row, start - 1 : start + length - 1]
        assert chosen.tolist() == list(generation.token_ids)
        checked += 1
    assert checked > 10


def test_samples_depend_on_the_seed_and_on_the_image(engine: Engine):
    first = engine.generate(requests(), SAMPLED)
    other_seed = Decoding(max_new_tokens=12, temperature=1.3, top_k=12, top_p=0.95, seed=6)
    assert engine.generate(requests(), SAMPLED) == first
    assert engine.generate(requests(), other_seed) != first
    pictures = [Request((Turn("user", "<image> ?"),), (ImageRef(data=png(n)),)) for n in range(8)]
    assert len({generation.token_ids for generation in engine.generate(pictures, SAMPLED)}) > 4


def test_any_whole_number_is_a_seed(engine: Engine):
    for seed in (-1, 2**70):
        engine.generate([text_request(1)], Decoding(temperature=1.0, seed=seed))


def test_equal_requests_are_decoded_once(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []
    collate = engine.processor.collate

    def counting(rows, **arguments):
        seen.append(len(rows))
        return collate(rows, **arguments)

    monkeypatch.setattr(engine.processor, "collate", counting)
    one, other = image_request(1), text_request(2)
    same_text_other_image = Request(one.turns, (ImageRef(data=png(99)),))
    generations = engine.generate([one, other, one, same_text_other_image, other], GREEDY)
    assert seen == [3]
    assert generations[0] == generations[2]
    assert generations[1] == generations[4]


def test_each_batch_is_handed_over_when_it_is_done(engine: Engine):
    kept: list[Mapping[int, Generation]] = []
    small = Engine(engine.model, engine.processor, max_batch_tokens=60)
    asked = [*requests(), *requests()[:2]]
    generations = small.generate(asked, GREEDY, keep=kept.append)
    assert len(kept) > 2
    assert sorted(place for batch in kept for place in batch) == list(range(len(asked)))
    assert all(batch[place] == generations[place] for batch in kept for place in batch)


def test_batches_stay_under_the_token_budget(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    shapes: list[torch.Size] = []
    collate = engine.processor.collate

    def recording(rows, **arguments):
        batch = collate(rows, **arguments)
        shapes.append(batch.input_ids.shape)
        return batch

    monkeypatch.setattr(engine.processor, "collate", recording)
    told: list[int] = []
    small = Engine(engine.model, engine.processor, max_batch_tokens=60)
    small.generate(requests(), GREEDY, progress=told.append)
    assert all(rows * (length + GREEDY.max_new_tokens) <= 60 for rows, length in shapes)
    assert max(rows for rows, _ in shapes) > 1
    assert told == [rows for rows, _ in shapes]


def test_finished_rows_leave_the_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    rows: list[int] = []
    forward = engine.model.language.forward

    def recording(embeddings, *arguments):
        rows.append(len(embeddings))
        return forward(embeddings, *arguments)

    monkeypatch.setattr(engine.model.language, "forward", recording)
    generations = engine.generate(requests(), GREEDY)
    still_writing = sum(not generation.finished for generation in generations)
    assert rows[0] == len(set(requests()))
    assert rows[-1] < rows[0]
    assert rows[-1] >= still_writing


def ban(token: int):
    def process(generated: Sequence[Sequence[int]], logits: Tensor) -> Tensor:
        blocked = torch.zeros_like(logits, dtype=torch.bool)
        blocked[:, token] = True
        return logits.masked_fill(blocked, -torch.inf)

    return process


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_banned_token_is_never_written(engine: Engine, decoding: Decoding):
    free = engine.generate(requests(), decoding)
    banned = max(range(6, 18), key=lambda token: sum(g.token_ids.count(token) for g in free))
    assert any(banned in generation.token_ids for generation in free)
    made = engine.generate(requests(), decoding, processors=[ban(banned)])
    assert not any(banned in generation.token_ids for generation in made)
    unaffected = [n for n, generation in enumerate(free) if banned not in generation.token_ids]
    if decoding is GREEDY:
        assert unaffected
        assert all(made[n] == free[n] for n in unaffected)


def test_processors_are_told_what_each_row_has_written(engine: Engine):
    """Force the end after three tokens: needs the right history also after rows were dropped."""
    (end,) = engine.stop_ids
    histories: list[tuple[int, ...]] = []

    def stop_after_three(generated: Sequence[Sequence[int]], logits: Tensor) -> Tensor:
        histories.extend(tuple(row) for row in generated)
        forced = torch.full_like(logits, -torch.inf)
        forced[:, end] = 0
        over = torch.tensor([len(row) >= 3 for row in generated]).unsqueeze(-1)
        return torch.where(over, forced, logits)

    free = engine.generate(requests(), GREEDY)
    made = engine.generate(requests(), GREEDY, processors=[stop_after_three])
    assert [g.token_ids for g in made] == [g.token_ids[:3] for g in free]
    assert all(generation.finished for generation in made)
    assert {generation.token_ids for generation in made} <= set(histories)


def test_each_module_is_afterwards_in_the_mode_it_was_in(engine: Engine):
    engine.model.train()
    assert engine.model.vision is not None
    engine.model.vision.eval()  # as stages keep frozen parts
    before = {name: module.training for name, module in engine.model.named_modules()}
    engine.generate([text_request(1)], GREEDY)
    assert {name: module.training for name, module in engine.model.named_modules()} == before


def test_words_after_the_end_token_do_not_stop_a_text():
    tokenizer = tiny_processor().tokenizer
    processor = Processor(tokenizer, chat=ChatTemplate(assistant_end="<end> ."))
    model = VisionLanguageModel(
        tiny_language(processor.vocabulary_size), image_token_id=processor.image_token_id
    )
    assert len(processor.end_ids) == 2
    assert Engine(model, processor).stop_ids == frozenset(processor.end_ids[:1])


@pytest.fixture
def encoded(engine: Engine, monkeypatch) -> list[int]:
    """How many tiles the encoder was given, call by call."""
    vision = engine.model.vision
    assert vision is not None
    original, given = vision.forward, []

    def counted(pixels: Tensor) -> Tensor:
        given.append(len(pixels))
        return original(pixels)

    monkeypatch.setattr(vision, "forward", counted)
    return given


def asked_about(images: int, questions: int) -> list[Request]:
    """Questions of various lengths; one after the other is about another image."""
    refs = [ImageRef(data=png(number)) for number in range(images)]
    return [
        Request((Turn("user", "<image> " + " ".join(WORDS[: 1 + row % 5])),), (refs[row % images],))
        for row in range(images * questions)
    ]


def test_an_image_is_encoded_once_for_all_that_ask_about_it(engine: Engine, encoded: list[int]):
    asked = asked_about(images=2, questions=3)
    together = engine.generate(asked, GREEDY)
    assert encoded == [2]
    assert together == [engine.generate([request], GREEDY)[0] for request in asked]
    assert encoded[1:] == [1] * 6


def test_questions_about_an_image_are_in_one_batch_where_it_holds_them(
    engine: Engine, encoded: list[int]
):
    asked = asked_about(images=3, questions=4)
    alone = [engine.generate([request], GREEDY)[0] for request in asked]
    encoded.clear()
    rows = [engine.processor.encode(one.turns, one.images, answer=True) for one in asked]
    longest = max(len(row.input_ids) for row in rows) + GREEDY.max_new_tokens
    small = Engine(engine.model, engine.processor, max_batch_tokens=4 * longest)
    sizes: list[int] = []
    assert small.generate(asked, GREEDY, progress=sizes.append) == alone
    assert sizes == [4, 4, 4]
    assert encoded == [1, 1, 1]


def test_a_budget_must_hold_something(engine: Engine):
    with pytest.raises(ValueError, match=r"engine.max_batch_tokens: got 0, allowed: 1 or more"):
        Engine(engine.model, engine.processor, max_batch_tokens=0)


def test_a_request_over_the_budget_is_decoded_alone(engine: Engine):
    least = Engine(engine.model, engine.processor, max_batch_tokens=1)
    assert least.generate(requests()[:4], GREEDY) == engine.generate(requests()[:4], GREEDY)


def test_nothing_asked_is_nothing_written(engine: Engine):
    assert engine.generate([], GREEDY) == []
