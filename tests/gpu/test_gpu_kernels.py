"""What only a GPU can show: kernels that have none on a CPU compute what the others do.

    pytest -m gpu

Heads are 64 and 72 wide, as these kernels take them, and as SigLIP's are.
"""

from functools import partial

import numpy as np
import pytest
import torch
from lightning import seed_everything
from tiny import TinyData, png, seeded_language, tiny_processor, tiny_stage, tiny_trainer
from torch import Tensor
from torch.optim import AdamW

from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.generation import Decoding, Engine, Request, batch_decoder, fixed
from mmlite.generation.fixed import FixedSteps
from mmlite.losses import compiled_loss
from mmlite.models import MLPProjector, NewLanguageModel, TimmVision, VisionLanguageModel
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.packing import pack, pad_to
from mmlite.parallel import compile_blocks
from mmlite.processor import Encoded
from mmlite.records import ImageRef, Turn

# Compilers warn of what they look at; which of it depends on their versions.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def build_model(attention: str = "sdpa", dtype: torch.dtype = torch.float32) -> VisionLanguageModel:
    torch.manual_seed(0)
    processor = tiny_processor()
    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 144, "depth": 2, "num_heads": 2}
    vision = TimmVision(
        "vit_tiny_patch16_224", model_args={**sizes, "class_token": False, "global_pool": ""}
    )
    config = {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
        "head_dim": 64,
        "initializer_range": 0.1,
        "tie_word_embeddings": True,
    }
    language = NewLanguageModel(processor.vocabulary_size, "qwen3", config, attention)
    projector = MLPProjector(vision.dim, language.dim)
    model = VisionLanguageModel(
        language, vision, projector, image_token_id=processor.image_token_id
    )
    return model.to("cuda", dtype)


LENGTHS = (300, 150, 40, 22, 500, 6, 129, 128, 127, 64)
"""Of examples: of more than two blocks of 128 and of parts of one, one behind the other."""


def padded_batch() -> Batch:
    processor = tiny_processor()
    rng = np.random.default_rng(0)
    rows = []
    for number, length in enumerate(LENGTHS):
        ids = rng.integers(6, processor.vocabulary_size, length).tolist()
        images = (ImageRef(data=png(number)),) if number % 2 else ()
        ids[:4] = [processor.image_token_id] * 4 if images else ids[:4]
        labels = [token if place > 4 else IGNORE_INDEX for place, token in enumerate(ids)]
        rows.append(Encoded(tuple(ids), tuple(labels), images))
    return processor.collate(rows)


def packed_batch() -> Batch:
    packed = pack(padded_batch(), (4, 2, 4), pad_id=tiny_processor().pad_id)
    return pad_to(packed, 128, pad_id=tiny_processor().pad_id)


def gradients(model: VisionLanguageModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean loss and the gradient of every parameter."""
    dtype = model.language.model.dtype
    batch = batch.map(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    logits, targets = model(batch.to("cuda"))
    loss = torch.nn.functional.cross_entropy(logits.float(), targets)
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters)
    return loss.detach(), dict(zip(names, found, strict=True))


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], *, within: float) -> None:
    """Compare each gradient by the norm of what differs, relative to its own."""
    norms = {name: tensor.float().norm() for name, tensor in expected.items()}
    least = 1e-3 * torch.stack(list(norms.values())).max()  # keys' biases have none but rounding
    for name, tensor in expected.items():
        difference = (found[name].float() - tensor.float()).norm()
        assert float(difference / (norms[name] + least)) < within, name


@pytest.mark.parametrize("compiled", [False, True])
def test_packed_examples_learn_by_flex_attention_what_they_learn_alone(compiled: bool):
    loss, expected = gradients(build_model(), padded_batch())
    model = build_model("flex_attention")
    if compiled:
        compile_blocks(model)
    packed_loss, found = gradients(model, packed_batch())
    torch.testing.assert_close(packed_loss, loss, rtol=1e-3, atol=1e-3)
    assert_near(found, expected, within=2e-2)  # products of float32 may be of tf32's precision


def test_flex_attention_learns_in_bfloat16_too():
    loss, expected = gradients(build_model(dtype=torch.bfloat16), padded_batch())
    packed_loss, found = gradients(build_model("flex_attention", torch.bfloat16), packed_batch())
    torch.testing.assert_close(packed_loss, loss, rtol=2e-2, atol=2e-2)
    assert_near(found, expected, within=0.2)  # bfloat16 has three digits, and sums lose some


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_compiled_loss_is_the_plain_one_on_a_gpu(dtype: torch.dtype):
    generator = torch.Generator("cuda").manual_seed(0)
    for tokens in (300, 301):  # compiled for the first number, and then for any
        logits = 4 * torch.randn(tokens, 151_936, device="cuda", generator=generator)
        targets = torch.randint(151_936, (tokens,), device="cuda", generator=generator)
        exact = logits.to(dtype).double().requires_grad_()
        expected = torch.nn.functional.cross_entropy(exact, targets, reduction="sum")
        (wanted,) = torch.autograd.grad(expected, exact)
        total, found = compiled_loss()(logits.to(dtype), targets)
        torch.testing.assert_close(total.double(), expected, rtol=1e-5, atol=0.0)
        assert found.dtype == dtype
        error = (found.double() - wanted).norm() / wanted.norm()
        assert float(error) < (1e-5 if dtype == torch.float32 else 4e-3)


def test_a_step_waits_for_no_number_of_a_gpu():
    """Packed rows: of padded ones transformers asks once whether they are packed."""
    model, batch = build_model("flex_attention"), packed_batch()

    def step() -> None:
        logits, targets = model(moved)
        torch.nn.functional.cross_entropy(logits, targets).backward()

    moved = batch.pin_memory().to("cuda")
    step()  # compiles, which may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_stage_learns_on_a_gpu_what_it_learns_on_the_cpu(tmp_path):
    losses = {}
    for accelerator in ("cpu", "gpu"):
        seed_everything(0)
        stage = tiny_stage(optimizer=partial(AdamW, lr=1e-2, fused=True), decoding=None)
        trainer = tiny_trainer(tmp_path / accelerator, accelerator=accelerator, max_steps=5)
        torch.manual_seed(0)
        stage.configure_model()  # on the CPU in both, so that both draw the same weights
        trainer.fit(stage, TinyData(stage.processor, number=20, batch_size=4, num_workers=2))
        losses[accelerator] = trainer.callback_metrics["train/loss"].cpu()
    torch.testing.assert_close(losses["gpu"], losses["cpu"], rtol=1e-3, atol=1e-3)


def test_four_bit_weights_learn_their_updates_on_a_gpu(tmp_path):
    seed_everything(0)
    stage = tiny_stage(
        optimizer=partial(AdamW, lr=1e-2),
        decoding=None,
        adapters={"language": Adapter(4, 8.0, 0.0, quantize=Quantization())},
        trainable=["projector", "language"],
    )
    stage.language = seeded_language
    trainer = tiny_trainer(tmp_path, accelerator="gpu", precision="bf16-mixed", max_steps=30)
    data = TinyData(stage.processor, number=20, batch_size=20)
    trainer.fit(stage, data)
    last = float(trainer.callback_metrics["train/loss"])
    assert last < 2.4  # the logarithm of the vocabulary, 18, is 2.9


def test_recorded_steps_write_what_usual_ones_do(monkeypatch):
    """Rows end at various lengths, and rooms of few tokens are left: steps are recorded anew."""
    model, processor = build_model().eval(), tiny_processor()
    recorded: list[torch.cuda.CUDAGraph] = []

    class Counted(FixedSteps):
        def _record(self) -> None:
            super()._record()
            assert self._graph is not None
            recorded.append(self._graph)

    monkeypatch.setattr(batch_decoder, "FixedSteps", Counted)
    monkeypatch.setattr(batch_decoder, "STEPS_BEFORE", 2)
    monkeypatch.setattr(fixed, "ROOM_TOKENS", 16)
    asked = [
        Request((Turn("user", "<image>" + "what is red ? " * (1 + n)),), (ImageRef(data=png(n)),))
        for n in range(7)
    ]
    decoding = Decoding(max_new_tokens=60, temperature=1.5, seed=3)
    engine = Engine(model, processor, max_batch_tokens=4096)
    found = [made.token_ids for made in engine.generate(asked, decoding)]
    assert len(recorded) > 2
    monkeypatch.setattr(batch_decoder, "can_fix", lambda *args: False)
    expected = [made.token_ids for made in engine.generate(asked, decoding)]
    assert found == expected
    assert len({len(ids) for ids in expected}) > 1


def test_steps_that_wait_for_the_gpu_are_not_recorded(monkeypatch, caplog):
    """Nothing of it is left: texts are the usual ones, and training goes on."""
    model, processor = build_model().eval(), tiny_processor()
    asked = [Request((Turn("user", "what is red ? " * (1 + n)),)) for n in range(3)]
    engine, decoding = Engine(model, processor), Decoding(max_new_tokens=40)
    expected = [made.token_ids for made in engine.generate(asked, decoding)]
    original = FixedSteps._step

    def waits(self: FixedSteps) -> Tensor:
        assert int(self._tokens.sum()) >= 0
        return original(self)

    monkeypatch.setattr(FixedSteps, "_step", waits)
    monkeypatch.setattr(batch_decoder, "STEPS_BEFORE", 2)
    for _ in range(2):
        assert [made.token_ids for made in engine.generate(asked, decoding)] == expected
    assert caplog.text.count("more slowly") == 1
    assert torch.nn.functional.dropout(torch.ones(2**20, device="cuda")).sum() > 0
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


def test_batched_decoding_writes_on_a_gpu_what_one_at_a_time_does():
    model, processor = build_model().eval(), tiny_processor()
    asked = [
        Request((Turn("user", "<image>" + "what is red ? " * (1 + n)),), (ImageRef(data=png(n)),))
        for n in range(5)
    ]
    engine = Engine(model, processor, max_batch_tokens=4096)
    decoding = Decoding(max_new_tokens=12)
    together = [made.token_ids for made in engine.generate(asked, decoding)]
    alone = [engine.generate([one], decoding)[0].token_ids for one in asked]
    assert together == alone
