"""Steps of fixed shapes write what the usual ones do; a GPU records them besides (`tests/gpu`)."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from generation.engines import stage_engine
from tiny import tiny_examples, tiny_language, tiny_language_of
from torch import Tensor

from mmlite.generation import Decoding, Engine, Request, batch_decoder, engine, fixed
from mmlite.generation.batch_decoder import BatchDecoder
from mmlite.generation.cache import roomy_cache
from mmlite.generation.fixed import FixedSteps, can_fix
from mmlite.models import NewLanguageModel, VisionLanguageModel


class Recorded(BatchDecoder):
    """Would record its steps, were there a GPU."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._is_gpu = True


DECODINGS = [
    Decoding(max_new_tokens=40),
    Decoding(max_new_tokens=40, temperature=1.5, top_p=0.9, top_k=8, seed=7),
]


@pytest.fixture(scope="module")
def usual() -> Engine:
    return stage_engine()


@pytest.fixture
def rooms(monkeypatch) -> list[int]:
    """Fix steps from the second on, in small rooms; return for how many steps each was."""
    made: list[int] = []

    class Counted(FixedSteps):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self.left)

    monkeypatch.setattr(batch_decoder, "STEPS_BEFORE", 1)
    monkeypatch.setattr(batch_decoder, "FixedSteps", Counted)
    monkeypatch.setattr(fixed, "ROOM_TOKENS", 9)
    monkeypatch.setattr(fixed, "LEAST_STEPS", 1)
    monkeypatch.setattr(engine, "BatchDecoder", partial(BatchDecoder, is_fixed=True))
    return made


def requests() -> list[Request]:
    return [Request(e.turns[:-1] + e.turns, e.images * 2) for e in tiny_examples(9)]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_fixed_steps_write_what_usual_ones_do(usual: Engine, rooms: list[int], decoding: Decoding):
    found = usual.generate(requests(), decoding)
    assert len(rooms) > 3  # the first room was left, and rows ended
    assert 9 in rooms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BatchDecoder", BatchDecoder)
        expected = usual.generate(requests(), decoding)
    assert found == expected
    assert len({len(one.token_ids) for one in expected}) > 2


def test_logits_of_fixed_steps_are_those_of_usual_ones():
    torch.manual_seed(0)
    model = VisionLanguageModel(tiny_language_of("qwen3", 18).eval(), image_token_id=1)
    prompt = torch.tensor([[0, 0, 3, 4, 5], [6, 7, 8, 9, 10]])
    mask = torch.nn.functional.pad(prompt > 0, (0, 6), value=True)
    lengths = (prompt > 0).sum(1, keepdim=True)
    found: list[list[Tensor]] = []
    with torch.no_grad():
        for is_fixed in (True, False):
            cache = roomy_cache(model.language.model.config)
            embeddings = model.language.embed(prompt)
            positions = ((prompt > 0).long().cumsum(1) - 1).clamp(min=0)
            model.language(embeddings, prompt > 0, positions, cache)
            steps = None
            if is_fixed:
                wanted = {"mask": mask, "positions": lengths, "place": 5, "most_steps": 6}
                steps = FixedSteps(model, cache, **wanted, is_recorded=False)
            logits = []
            for step in range(6):
                tokens = torch.tensor([3 + step, 12 - step])
                if steps is not None:
                    logits.append(steps(tokens).clone())
                    continue
                embeddings = model.language.embed(tokens[:, None])
                seen = mask[:, : 6 + step]
                hidden = model.language(embeddings, seen, lengths + step, cache)[:, -1]
                logits.append(model.language.logits(hidden))
            if steps is not None:
                assert steps.left == 0
                steps.release()
            assert cache.get_seq_length() == 11
            found.append(logits)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["_step", "_record"])
def test_a_step_that_cannot_be_fixed_is_done_as_ever_and_not_tried_again(
    usual: Engine, rooms: list[int], method: str, monkeypatch, caplog
):
    def fail(self: FixedSteps) -> None:
        raise RuntimeError("called a synchronizing CUDA operation")

    expected = usual.generate(requests(), DECODINGS[0])
    tried = len(rooms)
    # Recording comes behind the step, which has written a token by then.
    monkeypatch.setattr(FixedSteps, method, fail)
    monkeypatch.setattr(fixed, "_no_waiting", nullcontext)
    monkeypatch.setattr(engine, "BatchDecoder", partial(Recorded, is_fixed=True))
    assert usual.generate(requests(), DECODINGS[0]) == expected
    assert "more slowly (RuntimeError: called a synchronizing" in caplog.text
    assert len(rooms) == tried + 1
    assert usual.generate(requests(), DECODINGS[0]) == expected
    assert len(rooms) == tried + 1
    fixed._refused.clear()


def test_the_device_being_lost_is_no_reason_to_go_on(usual: Engine, rooms, monkeypatch):
    def fail(self: FixedSteps) -> None:
        raise torch.AcceleratorError("device-side assert", 1)

    monkeypatch.setattr(FixedSteps, "_step", fail)
    with pytest.raises(torch.AcceleratorError):
        usual.generate(requests(), DECODINGS[0])


def test_few_steps_are_not_fixed(usual: Engine, rooms: list[int], monkeypatch):
    monkeypatch.setattr(fixed, "LEAST_STEPS", 16)
    usual.generate(requests(), Decoding(max_new_tokens=17))
    assert not rooms
    usual.generate(requests(), Decoding(max_new_tokens=18))
    assert rooms


def test_models_whose_layers_keep_other_things_are_not_fixed():
    kinds = ["sliding_attention", "full_attention"]
    languages = {
        True: tiny_language(18),
        False: tiny_language_of("gemma3_text", 18, layer_types=kinds),
    }
    for expected, language in languages.items():
        model = VisionLanguageModel(language, image_token_id=1)
        assert can_fix(model) is expected
    falcon = {
        **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"ffn_hidden_size": 32, "new_decoder_architecture": False, "multi_query": False},
    }
    for has_distances in (True, False):
        language = NewLanguageModel(18, "falcon", {**falcon, "alibi": has_distances})
        model = VisionLanguageModel(language, image_token_id=1)
        assert can_fix(model) is not has_distances
    eager = tiny_language(18)
    eager.model.set_attn_implementation("eager")
    model = VisionLanguageModel(eager, image_token_id=1)
    assert not can_fix(model)
