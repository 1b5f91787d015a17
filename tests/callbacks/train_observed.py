"""Train, validate and predict with all observers in one process or two.

Started as a script by test_processes.py: python train_observed.py PROCESSES OUT. Both take the
same four optimizer steps over the same rows.
"""

import sys
from pathlib import Path

import torch
from lightning import Trainer, seed_everything

# The project before the tests, whose folders have the names of its packages.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from tiny import tiny_stage
from tiny_runs import KeepFirst, Questions, question

from callbacks import (
    CategoryMetrics,
    HyperParameters,
    LossCurve,
    PartsReport,
    PredictionWriter,
    SamplePanel,
    Throughput,
)
from callbacks.totals import write_json
from data_modules.batching import BatchBudget, BatchPlan, PlannedLoader
from mmlite.generation import Decoding
from mmlite.parallel import leave_processes, rank, world_size

GLOBAL_BATCH = 4


class SharedQuestions(Questions):
    """Takes this process's share of each global batch, as data modules do."""

    def train_dataloader(self) -> PlannedLoader:
        self.plan.rank, self.plan.processes = rank(), world_size()
        return super().train_dataloader()

    def val_dataloader(self) -> PlannedLoader:
        plan = BatchPlan(
            lambda epoch: [question(row) for row in range(9)],
            self.processor.encode_example,
            size=9,
            budget=BatchBudget(GLOBAL_BATCH // world_size()),
            rank=rank(),
            processes=world_size(),
        )
        return PlannedLoader(plan, self.processor.collate)

    predict_dataloader = val_dataloader


def run(processes: int, out: Path, checkpoint: Path | None) -> None:
    seed_everything(0)
    stage = tiny_stage(decoding=Decoding(max_new_tokens=3))
    data = SharedQuestions(stage.processor, number=24, batch_size=GLOBAL_BATCH // processes)
    observers = [CategoryMetrics(), HyperParameters(), LossCurve(), PartsReport()]
    observers += [PredictionWriter(), SamplePanel(), Throughput()]
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        max_steps=4,
        val_check_interval=2,
        gradient_clip_val=1.0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=observers if checkpoint else [*observers, KeepFirst(out / "kept.ckpt")],
        default_root_dir=out,
    )
    trainer.fit(stage, data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero:
        write_json(out / "metrics.json", metrics)
    trainer.predict(stage, data, return_predictions=False)


def main(processes: int, out: Path) -> None:
    torch.set_num_threads(1)
    run(processes, out, None)
    run(processes, out / "resumed", out / "kept.ckpt")
    leave_processes()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
