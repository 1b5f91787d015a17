"""Training with transformers' LLaVA and Trainer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.training.measured import CLIP, Measured, Setup, mixed
from benchmarks.training.parts import build_processor, load_llava
from benchmarks.training.recorder import Recorder
from benchmarks.training.tunings import ALPHA, DROPOUT
from data_modules.mixture import Mixture
from mmlite.processor import Encoded, Processor


class EncodedRows(Dataset[Encoded]):
    """The rows in the order of their first epoch, encoded when they are asked for."""

    def __init__(self, folder: Path, processor: Processor) -> None:
        self.mixture = Mixture(mixed(folder), seed=0)
        self.order = self.mixture.order(0)
        self.processor = processor

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Encoded:
        """Encode a row."""
        return self.processor.encode_example(self.mixture.row(self.order[index])[0])


@dataclass
class PaddedRows:
    """What the Trainer's loader is given: rows as they come, padded to the longest of a batch."""

    processor: Processor

    def __call__(self, rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        """Collate as for any padded training: ids, mask, labels and pixels."""
        batch = self.processor.collate(rows)
        named = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask.long(),
            "labels": batch.labels,
        }
        return {**named, "pixel_values": batch.pixels} if len(batch.pixels) else named


class MeasuredTrainer(Trainer):
    """transformers' Trainer, its losses and batches noted."""

    recorder: Recorder

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Note the loss, which the Trainer divides by the tokens of the step."""
        labels, mask, pixels = (inputs.get(k) for k in ("labels", "attention_mask", "pixel_values"))
        items = kwargs.get("num_items_in_batch")
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        assert isinstance(loss, torch.Tensor), "outputs are not asked for"
        assert items is not None, "the Trainer counts the tokens of a step"
        tiles = 0 if pixels is None else len(pixels)
        self.recorder.add(loss.detach() * items, labels, mask, tiles=tiles)
        return loss


class StepEnds(TrainerCallback):
    """Notes the begin, and the end of each optimizer step."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin."""
        self.recorder.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note it."""
        if self.recorder.end_step():
            control.should_training_stop = True


def build_llava(folder: Path, setup: Setup, *, dtype: torch.dtype) -> Any:
    """Return transformers' model as a stage trains it, on the setup's device."""
    tuning = setup.stage
    llava = load_llava(folder / (setup.weights or "llava"), learns=tuning.learns, dtype=dtype)
    llava.to(setup.machine.device)
    if tuning.adapter_rank:
        # peft's layers around bitsandbytes', where the stage has them.
        from mmlite.models.adapters import Adapter, add_adapter
        from mmlite.models.quantization import Quantization

        form = Adapter(tuning.adapter_rank, ALPHA, DROPOUT, quantize=Quantization())
        add_adapter(llava.model.language_model, form)
        llava.lm_head.requires_grad_(False)
    return llava


def arguments(setup: Setup, out: Path, *, pure: bool) -> TrainingArguments:
    """Return the Trainer's settings."""
    machine = setup.machine
    return TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=setup.batch_size,
        gradient_accumulation_steps=setup.accumulate,
        max_steps=setup.steps,
        learning_rate=setup.stage.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=CLIP,
        optim="adamw_torch_fused",
        bf16=machine.precision == "bf16-mixed" and not pure,
        gradient_checkpointing=setup.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        train_sampling_strategy="sequential",
        use_cpu=machine.device == "cpu",
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_num_workers=machine.workers,
        dataloader_pin_memory=machine.device == "cuda",
        logging_strategy="no",
    )


def train_transformers(folder: Path, setup: Setup, out: Path, *, pure: bool = False) -> Measured:
    """Train with transformers' LLaVA and Trainer: padded batches, logits of every token.

    Args:
        folder: Of the run.
        setup: What all arms do alike.
        out: What the Trainer would write to.
        pure: Whether all is in bfloat16, without float32 weights.
    """
    processor = build_processor(setup.shape)
    trainer = MeasuredTrainer(
        model=build_llava(folder, setup, dtype=torch.bfloat16 if pure else torch.float32),
        args=arguments(setup, out, pure=pure),
        train_dataset=EncodedRows(folder / setup.rows, processor),
        data_collator=PaddedRows(processor),  # pyright: ignore[reportArgumentType]
    )
    trainer.recorder = Recorder(setup)
    trainer.add_callback(StepEnds(trainer.recorder))
    trainer.train()
    return trainer.recorder.measured()
