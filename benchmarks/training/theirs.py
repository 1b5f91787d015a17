"""Training with transformers' LLaVA and Trainer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.training.measured import CLIP, LEARNING_RATE, Measured, Setup, mixed
from benchmarks.training.parts import build_processor, load_llava
from data_modules.mixture import Mixture
from mmlite.processor import Encoded, Processor


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

    measured: Measured

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Note the loss, which the Trainer divides by the tokens of the step."""
        labels, mask = inputs["labels"], inputs["attention_mask"]
        items = kwargs.get("num_items_in_batch")
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        assert isinstance(loss, torch.Tensor), "outputs are not asked for"
        assert items is not None, "the Trainer counts the tokens of a step"
        self.measured.add(float(loss.detach()) * int(items), labels, mask)
        return loss


class StepEnds(TrainerCallback):
    """Notes the end of each optimizer step."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note it."""
        self.measured.end_step()


def train_transformers(folder: Path, setup: Setup, out: Path) -> Measured:
    """Train with transformers' LLaVA and Trainer: padded batches, logits of every token."""
    processor = build_processor(setup.shape)
    mixture = Mixture(mixed(folder), seed=0)
    rows = [processor.encode_example(mixture.row(place)[0]) for place in mixture.order(0)]
    arguments = TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=setup.batch_size,
        gradient_accumulation_steps=setup.accumulate,
        max_steps=setup.steps,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=CLIP,
        train_sampling_strategy="sequential",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        logging_strategy="no",
    )
    trainer = MeasuredTrainer(
        model=load_llava(folder),
        args=arguments,
        train_dataset=rows,  # pyright: ignore[reportArgumentType]
        data_collator=PaddedRows(processor),  # pyright: ignore[reportArgumentType]
    )
    trainer.measured = Measured()
    trainer.add_callback(StepEnds(trainer.measured))
    trainer.train()
    return trainer.measured
