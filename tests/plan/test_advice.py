"""Advice is what the run can do and has not done."""

import json

import pytest
from tiny import tiny_examples, tiny_language, tiny_processor, tiny_projector, tiny_vision

from mmlite.models import PretrainedLanguageModel
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.packing import pack
from mmlite.plan import Simulation, build_weightless, devices_of
from mmlite.plan.advice import switch_for
from mmlite.stages import ExtractionTuning
from mmlite.stages.speed import Speed

PROCESSOR = tiny_processor()
BATCH = PROCESSOR.collate([PROCESSOR.encode_example(example) for example in tiny_examples(6)])
ONE = devices_of({"accelerator": "gpu", "devices": 1})
SHARDED = devices_of({"devices": 2, "strategy": "lightning.pytorch.ModelParallelStrategy"})
FSDP, LORA = "experiments/overlays/fsdp.yaml", "model.init_args.adapters.language"
DTYPE, HALF = "model.init_args.language.init_args.dtype: bfloat16", "trainer.precision: bf16-true"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A language model that would be read, and is built of its configuration alone."""
    folder = tmp_path_factory.mktemp("published")
    config = {"model_type": "qwen3", "hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 18}
    config |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
    config |= {"intermediate_size": 32, "architectures": ["Qwen3ForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))

    def built(dtype="float32", precision="bf16-mixed", **arguments):
        stage = ExtractionTuning(
            PROCESSOR,
            language=lambda size: PretrainedLanguageModel(size, str(folder), dtype),
            vision=tiny_vision,
            projector=tiny_projector,
            **arguments,
        )
        build_weightless(stage, Simulation(), precision=precision)
        return stage

    return built


@pytest.mark.parametrize(
    ("dtype", "adapter", "told", "not_told"),
    [
        ("float32", None, [FSDP, LORA, "(QLoRA)", HALF], [DTYPE]),
        ("float32", Adapter(), [FSDP, "(QLoRA)", DTYPE], [HALF]),
        ("float32", Adapter(quantize=Quantization()), [DTYPE], [FSDP, LORA, HALF]),
        ("bfloat16", Adapter(quantize=Quantization()), ["a smaller model"], [FSDP, LORA, DTYPE]),
    ],
)
def test_weights_are_lowered_by_what_is_left(published, dtype, adapter, told, not_told):
    adapters = {} if adapter is None else {"language": adapter}
    switch = switch_for("weights", published(dtype, adapters=adapters), ONE, BATCH)
    assert [part for part in told if part not in switch] == []
    assert [part for part in not_told if part in switch] == []


def test_a_frozen_language_model_needs_no_update_to_be_small(published):
    frozen = published(trainable=["projector"])
    assert DTYPE in switch_for("weights", frozen, ONE, BATCH)
    assert LORA not in switch_for("optimizer", frozen, ONE, BATCH)


def test_shards_are_neither_packed_in_4_bits_nor_without_copies(published):
    whole, update = published(), published(adapters={"language": Adapter()})
    more = f"more devices under -c {FSDP}"
    assert switch_for("weights", whole, SHARDED, BATCH) == more
    assert switch_for("optimizer", update, SHARDED, BATCH) == more
    assert switch_for("weights", update, SHARDED, BATCH) == more
    assert f"; or {LORA}, a low-rank update (LoRA)" in switch_for(
        "gradients", whole, SHARDED, BATCH
    )


def test_what_is_in_bfloat16_is_told_so_and_not_advised(published):
    half = published(precision="bf16-true")
    assert {row.dtypes for row in half.part_rows} == {"bfloat16"}
    assert HALF not in switch_for("weights", half, ONE, BATCH)


def test_parts_that_compute_again_go_on_doing_so(published):
    learns = ["vision", "projector", "language"]
    stage = published(trainable=learns, gradient_checkpointing=["language"])
    key = "model.init_args.gradient_checkpointing: [language, vision]"
    assert key in switch_for("images", stage, ONE, BATCH)
    chunked = published(speed=Speed(loss_chunk_tokens=8))
    assert "loss_chunk_tokens, below 8" in switch_for("logits", chunked, ONE, BATCH)


def test_updates_of_random_weights_are_no_advice():
    stage = ExtractionTuning(
        PROCESSOR, language=tiny_language, vision=tiny_vision, projector=tiny_projector
    )
    build_weightless(stage, Simulation(), precision="32-true")
    assert LORA not in switch_for("optimizer", stage, ONE, BATCH)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (None, "a data.init_args.budget.batch_size below 6"),
        ([4, 2], "a data.init_args.budget.batch_size below 2 or a smaller data.init_args.budget.p"),
        ([6], "a smaller data.init_args.budget.pack_tokens"),
    ],
)
def test_batches_are_made_smaller_by_what_makes_them_large(published, sizes, told):
    stage = published(gradient_checkpointing=["all"])
    batch = BATCH if sizes is None else pack(BATCH, sizes, pad_id=PROCESSOR.pad_id)
    assert switch_for("activations", stage, ONE, batch).startswith(told)


def test_a_single_example_can_only_be_shorter(published):
    stage = published(gradient_checkpointing=["all"])
    batch = PROCESSOR.collate([PROCESSOR.encode_example(tiny_examples(1)[0])])
    assert switch_for("activations", stage, ONE, batch) == "shorter texts, or images of fewer tiles"
