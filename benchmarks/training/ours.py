"""Training with mmlite's stage and loader."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.optim import AdamW

from benchmarks.training.measured import CLIP, Measured, Setup, mixed
from benchmarks.training.parts import build_processor, fresh_parts, saved_parts
from benchmarks.training.recorder import Recorder
from benchmarks.training.tunings import ALPHA, DROPOUT
from data_modules import CaptionData, ExampleData, ExtractionData, QAData
from data_modules.batching import BatchBudget
from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.optim import Schedule
from mmlite.processor import Processor
from mmlite.stages import CaptionAlignment, ExtractionTuning, InstructionTuning, Stage
from mmlite.stages.speed import Speed

CLASSES: dict[str, tuple[type[Stage], type[ExampleData]]] = {
    "instruction": (InstructionTuning, QAData),
    "alignment": (CaptionAlignment, CaptionData),
    "full": (InstructionTuning, QAData),
    "extraction": (ExtractionTuning, ExtractionData),
}
"""Stage and data module of each tuning."""

WINDOW_BATCHES = 16
"""Batches whose rows are sorted by length together, where a batch is a number of tokens."""

PAD_MULTIPLE = 128
"""Tokens of a block of flex attention. Where blocks are compiled, packed rows, nearly full, are
padded to their whole length instead: each other length would be compiled for."""


@dataclass(frozen=True)
class Switches:
    """What an arm of mmlite switches on.

    Attributes:
        chunked: The loss, by the setup's number of tokens.
        compiled: Blocks.
        dynamic: Blocks for batches of any size at once.
        fused: The optimizer.
        norms: Fused.
        rotary: Fused.
        recomputed: Activations of the language model, in the backward pass.
        packed: Several examples to a row.
        pure: Weights, gradients and the optimizer's states in bfloat16, without float32 ones.
    """

    chunked: bool = False
    compiled: bool = False
    dynamic: bool | None = None
    fused: bool = True
    norms: bool = False
    rotary: bool = False
    recomputed: bool = False
    packed: bool = False
    pure: bool = False


OURS = {
    "mmlite": Switches(),
    "mmlite chunked": Switches(chunked=True),
    "mmlite compiled": Switches(compiled=True),
    "mmlite not fused": Switches(fused=False),
    "mmlite fused norms": Switches(norms=True),
    "mmlite fused rotary": Switches(rotary=True),
    "mmlite recomputed": Switches(recomputed=True),
}
"""Ways whose steps have the same rows, so that their losses can be compared one by one."""


class Watch(Callback):
    """Records mmlite's run."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.recorder.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the batch, and the step once it was taken."""
        supervised = (batch.labels[:, 1:] != IGNORE_INDEX).sum()
        self.recorder.add(
            trainer.callback_metrics["train/loss"] * supervised,
            batch.labels,
            batch.attention_mask,
            positions=batch.position_ids,
            tiles=len(batch.tile_order),
        )
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            trainer.should_stop = self.recorder.end_step()


def adamw(groups: Iterable[Any], *, lr: float, fused: bool) -> AdamW:
    """Return the optimizer of all ways."""
    return AdamW(groups, lr=lr, weight_decay=0.0, fused=fused)


def build_stage(
    folder: Path, setup: Setup, switches: Switches, processor: Processor | None = None
) -> Stage:
    """Return the stage of a setup's tuning.

    Args:
        folder: Of the run.
        setup: What all arms do alike.
        switches: What this one does.
        processor: Another than that of all arms.
    """
    machine, tuning = setup.machine, setup.stage
    attention = machine.attention if switches.packed else "sdpa"
    if setup.weights is None:
        parts = saved_parts(folder, setup.shape)
    else:
        parts = fresh_parts(folder / setup.weights, setup.shape, attention=attention)
    update = Adapter(tuning.adapter_rank or 1, ALPHA, DROPOUT, quantize=Quantization())
    return CLASSES[setup.tuning][0](
        processor or build_processor(setup.shape),
        **parts,
        optimizer=partial(adamw, lr=tuning.learning_rate, fused=switches.fused),
        schedule=Schedule(warmup_fraction=0.0, final_fraction=1.0),
        trainable=list(tuning.learns),
        adapters={"language": update} if tuning.adapter_rank else None,
        gradient_checkpointing=["language"] if switches.recomputed else setup.recomputed,
        decoding=None,
        speed=Speed(
            loss_chunk_tokens=setup.loss_chunk_tokens if switches.chunked else None,
            compile=switches.compiled,
            compile_dynamic=switches.dynamic,
            fused_norms=switches.norms,
            fused_rotary=switches.rotary,
        ),
    )


def batch_budget(setup: Setup, switches: Switches) -> BatchBudget:
    """Return what fits into a batch."""
    tokens = setup.batch_tokens
    if tokens is None:
        # A window is an optimizer step: its rows are the Trainer's, cut into batches by length.
        return BatchBudget(setup.batch_size, window_batches=setup.accumulate)
    if switches.packed:
        # Flash kernels are told where examples end only if a batch is one row.
        is_flash = setup.machine.attention.startswith("flash")
        row = tokens if is_flash else setup.pack_tokens
        rows = max(1, tokens // row)
        return BatchBudget(
            rows,
            pack_tokens=row,
            pad_multiple=row if switches.compiled else math.gcd(row, PAD_MULTIPLE),
            window_batches=WINDOW_BATCHES,
        )
    # Short rows make batches of many, as far as their tokens allow.
    return BatchBudget(
        4 * setup.batch_size, max_batch_tokens=tokens, window_batches=WINDOW_BATCHES // 4
    )


def train_mmlite(folder: Path, setup: Setup, out: Path, switches: Switches) -> Measured:
    """Train with mmlite's stage, loader and Lightning."""
    stage, machine = build_stage(folder, setup, switches), setup.machine
    _leave_nothing(stage)
    data = CLASSES[setup.tuning][1](
        stage.processor,
        train=mixed(folder / setup.rows),
        budget=batch_budget(setup, switches),
        prompts="paper",
        num_workers=machine.workers,
    )
    recorder = Recorder(setup)
    trainer = Trainer(
        accelerator="gpu" if machine.device == "cuda" else machine.device,
        devices=1,
        precision="bf16-true" if switches.pure else machine.precision,  # pyright: ignore[reportArgumentType]
        max_steps=setup.steps,
        accumulate_grad_batches=setup.accumulate,
        gradient_clip_val=CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=out,
        callbacks=[Watch(recorder)],
    )
    trainer.strategy.teardown = lambda: None  # it carries all weights and states to the CPU
    trainer.fit(stage, data)
    return recorder.measured()


def _leave_nothing(stage: Stage) -> None:
    """Let a stage end without its weights on disk: writing them takes longer than a few steps."""
    stage.save = lambda path: None
