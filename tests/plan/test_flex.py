"""Flex attention is planned without its kernels: what it keeps, and the operations it does."""

import pytest
from tiny import tiny_examples, tiny_language, tiny_language_of, tiny_processor
from torch.optim import AdamW

from mmlite.packing import pack
from mmlite.plan import Run, Simulation, build_weightless, devices_of, estimate, trace_step
from mmlite.plan.sample import Sample, count
from mmlite.stages import LanguagePretraining

PROCESSOR = tiny_processor()
ROWS = [PROCESSOR.encode_example(example) for example in tiny_examples(18)[2::3]]  # no images


def planned(attention, batch):
    def language(vocabulary_size):
        if attention == "sdpa":
            return tiny_language(vocabulary_size)
        config = {"num_key_value_heads": 2, "tie_word_embeddings": True}
        return tiny_language_of("qwen3", vocabulary_size, attention, **config)

    stage = LanguagePretraining(PROCESSOR, language=language, optimizer=AdamW)
    simulation = Simulation()
    build_weightless(stage, simulation, precision="bf16-mixed")
    trace = trace_step(stage, simulation, batch, precision="bf16-mixed")
    mean = count(batch, PROCESSOR)
    sample = Sample("assumed", "", 1, mean, batch, None)
    devices = devices_of({"accelerator": "gpu", "devices": 1})
    return trace, estimate(stage, trace, sample, Run(1, 1, 1), devices)


def test_it_keeps_and_does_what_a_kernel_without_a_mask_does():
    batch = PROCESSOR.collate(ROWS)
    flex, sdpa = (planned(attention, batch)[0] for attention in ("flex_attention", "sdpa"))
    assert flex == sdpa


def test_it_leaves_other_examples_of_a_packed_row_out():
    batch = pack(PROCESSOR.collate(ROWS), [4, 2], pad_id=PROCESSOR.pad_id)
    lengths = [len(row.input_ids) for row in ROWS]
    rest = abs(sum(lengths[:4]) - sum(lengths[4:]))  # fills the shorter row up
    pairs = sum(length**2 for length in [*lengths, rest])
    (flex, found), (sdpa, whole) = (planned(a, batch) for a in ("flex_attention", "sdpa"))
    assert found.flops["attention"] == pytest.approx(12 * 2 * 16 * pairs)
    assert whole.flops["attention"] == 12 * 2 * 16 * batch.input_ids.numel() * len(batch.labels[0])
    assert flex.flops["language"] == sdpa.flops["language"]
    assert flex.peak.alone["activations"] < sdpa.peak.alone["activations"]  # which keeps a mask
