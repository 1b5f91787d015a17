"""The store returns what was written for the very same input, and nothing else."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import png, tiny_language, tiny_processor, tiny_projector, tiny_tokenizer, tiny_vision

from mmlite.generation import Decoding, Engine, Request
from mmlite.images import ImageTransform
from mmlite.models import VisionLanguageModel
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.processor import Processor
from mmlite.records import ImageRef, Turn
from mmlite.systems import PerceptionStore, StoredEngine

DECODING = Decoding(max_new_tokens=4)
REQUEST = Request((Turn("user", "<image> what is red ?"),), (ImageRef(data=png(0)),))


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    processor = tiny_processor()
    vision, language = tiny_vision(), tiny_language(processor.vocabulary_size)
    projector = tiny_projector(vision.dim, language.dim)
    image_token_id = processor.image_token_id
    model = VisionLanguageModel(language, vision, projector, image_token_id=image_token_id)
    with torch.no_grad():  # so that texts differ from prompt to prompt
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    return Engine(model.eval(), processor)


class Counting(Engine):
    """An engine that counts the requests it decodes."""

    decoded = 0

    def generate(self, requests, decoding, **arguments):
        self.decoded += len(requests)
        return super().generate(requests, decoding, **arguments)


def counting(
    engine: Engine, store: PerceptionStore | None, *, max_batch_tokens: int = 16384
) -> StoredEngine:
    counted = Counting(engine.model, engine.processor, max_batch_tokens=max_batch_tokens)
    return StoredEngine(counted, fingerprint="weights", store=store)


def count_of(stored: StoredEngine) -> int:
    assert isinstance(stored.engine, Counting)
    return stored.engine.decoded


def asked(number: int) -> list[Request]:
    return [Request((Turn("user", "what " * (n + 1)),)) for n in range(number)]


def test_a_text_is_written_once_and_found_by_another_process(engine: Engine, tmp_path: Path):
    first = counting(engine, PerceptionStore(tmp_path))
    texts = first.write([REQUEST, *asked(3)], DECODING)
    assert len(set(texts)) >= 3
    assert count_of(first) == 4
    assert first.write([REQUEST, *asked(3)], DECODING) == texts
    assert count_of(first) == 4
    second = counting(engine, PerceptionStore(tmp_path))
    assert second.write([*asked(3), REQUEST], DECODING) == [*texts[1:], texts[0]]
    assert count_of(second) == 0
    assert [g.text for g in engine.generate([REQUEST, *asked(3)], DECODING)] == texts


def test_a_store_sees_what_others_write_while_it_is_open(engine: Engine, tmp_path: Path):
    late = counting(engine, PerceptionStore(tmp_path))
    counting(engine, PerceptionStore(tmp_path)).write(asked(2), DECODING)
    late.write(asked(3), DECODING)
    assert count_of(late) == 1


def test_without_a_store_everything_is_decoded_every_time(engine: Engine):
    stored = counting(engine, None)
    assert stored.write(asked(2), DECODING) == stored.write(asked(2), DECODING)
    assert count_of(stored) == 4


def test_each_thing_that_decides_a_text_makes_another_key(engine: Engine, tmp_path: Path):
    path = tmp_path / "image.png"
    path.write_bytes(png(0))
    request = Request(REQUEST.turns, (ImageRef(path=str(path)),))
    base = StoredEngine(engine, fingerprint="weights")
    key = base.key(request, DECODING)
    assert base.key(request, DECODING) == key

    path.write_bytes(png(1))
    keys = {"image edited in place": base.key(request, DECODING)}
    path.write_bytes(png(0))
    assert base.key(request, DECODING) == key

    other_prompt = replace(request, turns=(Turn("user", "<image> what is blue ?"),))
    keys["prompt"] = base.key(other_prompt, DECODING)
    keys["weights"] = StoredEngine(engine, fingerprint="others").key(request, DECODING)
    keys["length"] = base.key(request, Decoding(max_new_tokens=5))
    sampled = Decoding(max_new_tokens=4, temperature=1.0)
    keys["sampling"] = base.key(request, sampled)
    keys["seed"] = base.key(request, replace(sampled, seed=1))

    brighter = ImageTransform(size_px=16, mean=(0.1, 0.1, 0.1))
    processor = Processor(tiny_tokenizer(), image=brighter, tokens_per_tile=4)
    transformed = Engine(engine.model, processor)
    keys["transform"] = StoredEngine(transformed, fingerprint="weights").key(request, DECODING)

    words = tiny_tokenizer()
    words.add_tokens(["more"])
    processor = Processor(words, image=ImageTransform(size_px=16), tokens_per_tile=4)
    renamed = Engine(engine.model, processor)
    keys["vocabulary"] = StoredEngine(renamed, fingerprint="weights").key(request, DECODING)
    assert len({key, *keys.values()}) == 1 + len(keys), keys


def test_an_edited_image_is_looked_at_again(engine: Engine, tmp_path: Path):
    path = tmp_path / "image.png"
    path.write_bytes(png(0))
    request = Request(REQUEST.turns, (ImageRef(path=str(path)),))
    stored = counting(engine, PerceptionStore(tmp_path / "store"))
    stored.write([request], DECODING)
    path.write_bytes(png(1))
    stored.write([request], DECODING)
    assert count_of(stored) == 2


def test_one_changed_weight_changes_the_fingerprint(engine: Engine):
    before = weights_fingerprint(engine.model)
    assert weights_fingerprint(engine.model) == before
    weight = next(engine.model.parameters())
    with torch.no_grad():
        kept = weight.flatten()[0].item()
        weight.view(-1)[0] += 1e-3
        assert weights_fingerprint(engine.model) != before
        weight.view(-1)[0] = kept
    assert weights_fingerprint(engine.model) == before


def test_a_kill_loses_no_finished_batch(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    collate = engine.processor.collate
    batches: list[int] = []

    def killed_in_third_batch(rows, **arguments):
        batches.append(len(rows))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return collate(rows, **arguments)

    first = counting(engine, PerceptionStore(tmp_path), max_batch_tokens=40)
    with monkeypatch.context() as patch:
        patch.setattr(engine.processor, "collate", killed_in_third_batch)
        with pytest.raises(KeyboardInterrupt):
            first.write(asked(12), DECODING)
    left = len(PerceptionStore(tmp_path))
    assert left == sum(batches[:2])
    second = counting(engine, PerceptionStore(tmp_path), max_batch_tokens=40)
    texts = second.write(asked(12), DECODING)
    assert count_of(second) == 12 - left
    assert texts == [g.text for g in engine.generate(asked(12), DECODING)]


def test_a_torn_last_line_is_made_again(tmp_path: Path):
    PerceptionStore(tmp_path).put({"one": "first", "two": "second"})
    (path,) = tmp_path.glob("*.jsonl")
    os.truncate(path, path.stat().st_size - 4)
    torn = PerceptionStore(tmp_path)
    assert torn.get("one") == "first"
    assert torn.get("two") is None
    torn.put({"two": "second"})
    again = PerceptionStore(tmp_path)
    assert (again.get("one"), again.get("two")) == ("first", "second")


def test_a_line_still_being_written_is_read_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "other.jsonl"
    line = json.dumps(["key", "text"]) + "\n"
    path.write_text(line[:7])
    store = PerceptionStore(tmp_path)
    assert store.get("key") is None
    with path.open("a") as file:
        file.write(line[7:])
    store.refresh()
    assert store.get("key") == "text"


@pytest.mark.parametrize(
    "line", ["{", "7", '"ab"', '["one"]', '["one", 2]', '["one", "a", "b"]', '{"a": 1, "b": 2}']
)
def test_an_unreadable_line_is_passed_over_and_told(
    line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "old.jsonl").write_text(f'{line}\n["key", "text"]\n')
    with caplog.at_level(logging.WARNING):
        store = PerceptionStore(tmp_path)
    assert len(store) == 1
    assert store.get("key") == "text"
    assert "passing over 1 unreadable lines" in caplog.text


def test_texts_with_any_character_survive(tmp_path: Path):
    text = 'line\nend \u2028 \x85 "quoted" \\ \ud83d'
    PerceptionStore(tmp_path).put({"key": text})
    assert PerceptionStore(tmp_path).get("key") == text


def test_a_text_that_was_cut_is_known_as_such(engine: Engine, tmp_path: Path):
    one = Decoding(max_new_tokens=1)
    told = [(g.text, g.finished) for g in engine.generate(asked(3), one)]
    assert any(not finished for _, finished in told)
    first, second = (counting(engine, PerceptionStore(tmp_path)) for _ in range(2))
    for stored in (first, second):
        assert [(w.text, w.finished) for w in stored.ask(asked(3), one)] == told
        assert stored.write(asked(3), one) == [text for text, _ in told]
    assert (count_of(first), count_of(second)) == (3, 0)


def test_a_cut_text_that_is_made_again_may_be_whole(tmp_path: Path):
    store = PerceptionStore(tmp_path)
    store.put({"one": "fir", "two": "second"}, cut={"one"})
    late = PerceptionStore(tmp_path)
    assert (late.is_cut("one"), late.is_cut("two")) == (True, False)
    store.put({"one": "first"})
    late.refresh()
    assert (late.get("one"), late.is_cut("one")) == ("first", False)
