"""How long a run is, and what is assumed of data that cannot be read."""

import pytest
from tiny import TinyData, tiny_anyres, tiny_tokenizer

from mmlite.chat import plain
from mmlite.images import ImageTransform
from mmlite.plan import Assumption, Run, assumed_sample, length_of, read_sample
from mmlite.processor import Processor


def test_steps_or_epochs_whichever_end_first(processor):
    data = TinyData(processor, number=40, batch_size=4)
    sample = read_sample(data, processor, num_batches=3)
    assert sample.batches_per_epoch == 10
    assert length_of({"max_steps": 7, "max_epochs": -1}, sample, processes=1) == Run(7, 1, 7)
    assert length_of({"max_steps": -1, "max_epochs": 2}, sample, processes=1) == Run(20, 1, 20)
    assert length_of({"max_steps": 15, "max_epochs": 2}, sample, processes=2) == Run(10, 1, 10)
    settings = {"max_epochs": 1, "accumulate_grad_batches": 5, "limit_train_batches": 0.5}
    assert length_of(settings, sample, processes=1) == Run(1, 5, 5)


def test_an_epochs_last_batches_make_a_step_of_their_own(processor):
    sample = read_sample(TinyData(processor, number=40, batch_size=4), processor, num_batches=3)
    settings = {"max_epochs": 2, "accumulate_grad_batches": 4}
    assert length_of(settings, sample, processes=1) == Run(6, 4, 20)  # 4, 4 and 2 batches
    assert length_of({**settings, "max_steps": 4}, sample, processes=1) == Run(4, 4, 14)


def test_a_run_without_an_end_is_refused(processor):
    data = TinyData(processor, number=8, batch_size=4, max_batch_tokens=64)
    sample = read_sample(data, processor, num_batches=1)
    message = r"trainer\.max_steps: got -1 and an epoch of unknown length, allowed: 1 or more"
    with pytest.raises(ValueError, match=message):
        length_of({"max_steps": -1, "max_epochs": 1}, sample, processes=1)


def test_a_sample_has_the_counts_of_its_batches(processor):
    data = TinyData(processor, number=8, batch_size=4)
    batches = list(data.train_dataloader())
    sample = read_sample(data, processor, num_batches=9)
    assert sample.num_batches == 2
    assert sample.mean["supervised_tokens"] == sum(b.num_supervised for b in batches) / 2
    assert sample.mean["images"] == sum(len(b.tile_order) for b in batches) / 2
    sizes = [b.input_ids.numel() for b in batches]
    assert sample.mean["padded_tokens"] == sum(sizes) / 2
    assert sample.largest.input_ids.numel() == max(sizes)


def test_images_of_several_tiles_are_counted_as_images():
    processor = tiny_anyres()
    sample = read_sample(TinyData(processor, number=8, batch_size=8), processor, num_batches=1)
    assert sample.mean["images"] == 6 < sample.mean["tiles"]
    assumption = Assumption(text_tokens=20, supervised_tokens=10, images=1, image_px=32)
    assumed = assumed_sample(processor, assumption, {"batch_size": 3}, reason="")
    assert (assumed.mean["images"], assumed.mean["tiles"]) == (3, 15)


def test_an_assumed_batch_is_as_large_as_the_budget_allows(processor):
    assumption = Assumption(examples=120, text_tokens=20, supervised_tokens=10)
    sample = assumed_sample(processor, assumption, {"batch_size": 6}, reason="no file")
    assert (sample.origin, sample.note) == ("assumed", "6 equal examples a batch (no file)")
    assert sample.mean["rows"] == 6
    assert sample.mean["images"] == 6
    assert sample.mean["supervised_tokens"] == 60
    assert sample.batches_per_epoch == 20
    length = sample.largest.input_ids.shape[1]
    assert length == 20 + 4 + 2  # its image has four tokens, its turns begin with one each
    few = assumed_sample(
        processor, assumption, {"batch_size": 6, "max_batch_tokens": 2 * length}, reason=""
    )
    assert few.mean["rows"] == 2


@pytest.mark.parametrize(("text", "supervised"), [(2, 1), (64, 32), (90, 3)])
@pytest.mark.parametrize("images", [0, 1])
def test_assumed_tokens_are_kept(processor, text, supervised, images):
    assumption = Assumption(text_tokens=text, supervised_tokens=supervised, images=images)
    mean = assumed_sample(processor, assumption, {}, reason="").mean
    assert mean["supervised_tokens"] == supervised
    assert mean["tokens"] == text + 2 + 4 * images


@pytest.mark.parametrize("images", [0, 1])
def test_a_template_without_a_users_words_is_assumed_without_them(images):
    processor = Processor(tiny_tokenizer(), chat=plain(), image=ImageTransform(16))
    assumption = Assumption(text_tokens=20, supervised_tokens=10, images=images)
    mean = assumed_sample(processor, assumption, {"batch_size": 2}, reason="").mean
    assert mean["supervised_tokens"] == 2 * 10
    assert mean["tokens"] == 2 * (10 + 9 if images else 11)  # alone, its first is not learnt


def test_an_assumed_packed_batch_holds_what_fits_into_its_rows(processor):
    assumption = Assumption(examples=120, text_tokens=20, supervised_tokens=10)
    one = assumed_sample(processor, assumption, {"batch_size": 1}, reason="")
    length = one.largest.input_ids.shape[1]
    budget = {"batch_size": 2, "pack_tokens": 3 * length + 1}
    packed = assumed_sample(processor, assumption, budget, reason="")
    assert (packed.mean["rows"], packed.mean["examples"]) == (2, 6)
    assert packed.largest.input_ids.shape == (2, 3 * length)
    assert packed.mean["images"] == 6
    assert packed.batches_per_epoch == 20


def test_impossible_assumptions_are_refused():
    with pytest.raises(ValueError, match=r"assumed\.examples: got 0, .*; assumed\.images: got -1"):
        Assumption(examples=0, images=-1)
    with pytest.raises(ValueError, match=r"supervised_tokens: got 9, allowed: less than .* 9"):
        Assumption(text_tokens=9, supervised_tokens=9)
