"""A stage and its data as the files in experiments/ compose them, for benchmarks."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from data_modules import ExampleData
from data_modules.batching import PlannedLoader
from mmlite.processor import Encoded
from mmlite.stages import Stage
from mmlite.training.command import MMLiteCLI

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def build(run: str, size: str, folder: str, *options: str) -> tuple[Stage, ExampleData]:
    """Build a micro run with random weights and its data, on one thread.

    Args:
        run: File in `experiments/micro`, without its ending.
        size: Of the language model.
        folder: What a run would write to; nothing is run.
        options: More of the command line.
    """
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    names = ("base.yaml", f"micro/{run}.yaml", f"micro/sizes/{size}.yaml")
    files = [part for name in names for part in ("-c", str(EXPERIMENTS / name))]
    command = [*files, "--run", folder, "--model.init_args.init_from", "null", *options]
    cli = MMLiteCLI(command, run=False)
    assert isinstance(cli.model, Stage)
    assert isinstance(cli.datamodule, ExampleData)
    cli.model.configure_model()
    return cli.model, cli.datamodule


def first_batches(data: ExampleData, number: int) -> list[list[Encoded]]:
    """Return the first training batches, planned but not yet collated."""
    loader = data.train_dataloader()
    assert isinstance(loader, PlannedLoader)
    batches = []
    for batch in loader.plan.batches(0):
        batches.append(batch)
        if len(batches) == number:
            break
    return batches


def train_once(stage: Stage, rows: Sequence[Encoded]) -> None:
    """Collate a batch and compute its gradients, as a training step does."""
    batch = stage.with_features(stage.processor.collate(rows))
    total, count = stage.loss(batch)
    (total / count).backward()
    for parameter in trained(stage):
        parameter.grad = None


def trained(stage: Stage) -> list[nn.Parameter]:
    """Return the parameters that learn."""
    return [parameter for parameter in stage.parameters() if parameter.requires_grad]


def fastest(run: Callable[[], object], *, times: int = 3) -> float:
    """Return the processor seconds of the fastest of several calls.

    Processor time of this one thread counts: other programs disturb it less than the clock.
    """
    seconds = float("inf")
    for _ in range(times):
        started = time.process_time()
        run()
        seconds = min(seconds, time.process_time() - started)
    return seconds
