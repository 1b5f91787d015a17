"""Training with mmlite's stage and loader."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.optim import AdamW

from benchmarks.training.measured import CLIP, LEARNING_RATE, Measured, Setup, mixed
from benchmarks.training.parts import SavedSiglip, build_processor, saved_projector
from data_modules import QAData
from data_modules.batching import BatchBudget
from mmlite.batch import Batch
from mmlite.models import PretrainedLanguageModel
from mmlite.optim import Schedule
from mmlite.stages import InstructionTuning
from mmlite.stages.speed import Speed


@dataclass(frozen=True)
class Switches:
    """What an arm of mmlite switches on.

    Attributes:
        chunked: The loss, by the setup's number of tokens.
        compiled: Blocks.
        fused: The optimizer.
    """

    chunked: bool = False
    compiled: bool = False
    fused: bool = True


OURS = {
    "mmlite": Switches(),
    "mmlite chunked": Switches(chunked=True),
    "mmlite compiled": Switches(compiled=True),
    "mmlite not fused": Switches(fused=False),
}


class Watch(Callback):
    """Measures mmlite's run."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self._step = 0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Add the batch, and the step once it was taken."""
        mean = float(trainer.callback_metrics["train/loss"])
        self.measured.add(mean * batch.num_supervised, batch.labels, batch.attention_mask)
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            self.measured.end_step()


def train_mmlite(folder: Path, setup: Setup, out: Path, switches: Switches) -> Measured:
    """Train with mmlite's stage, loader and Lightning."""
    processor = build_processor(setup.shape)
    stage = InstructionTuning(
        processor,
        language=partial(PretrainedLanguageModel, name=str(folder / "language")),
        vision=partial(SavedSiglip, folder, setup.shape),
        projector=partial(saved_projector, folder),
        optimizer=partial(AdamW, lr=LEARNING_RATE, weight_decay=0.0, fused=switches.fused),
        schedule=Schedule(warmup_fraction=0.0, final_fraction=1.0),
        decoding=None,
        speed=Speed(
            loss_chunk_tokens=setup.loss_chunk_tokens if switches.chunked else None,
            compile=switches.compiled,
        ),
    )
    # A window is an optimizer step: its rows are the Trainer's, cut into batches by length.
    budget = BatchBudget(setup.batch_size, window_batches=setup.accumulate)
    data = QAData(processor, train=mixed(folder), budget=budget, prompts="paper")
    measured = Measured()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=setup.steps,
        accumulate_grad_batches=setup.accumulate,
        gradient_clip_val=CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=out,
        callbacks=[Watch(measured)],
    )
    trainer.fit(stage, data)
    return measured
