"""Train and validate a tiny stage, alone or in two processes, and leave weights and metrics.

Started by test_two_processes.py under torchrun: train_two.py OUT KIND..., where a KIND is `ddp` or
`fsdp`, with `_` and one of `KINDS` behind it; test_two_processes.py imports `run` for the same on
one process: `single`, `accumulate`, and `one`, which is sharded over itself. Every kind takes the
same three optimizer steps over the same rows.
"""

import json
import sys
import warnings
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.optim import SGD

if __name__ == "__main__":
    # The project before the tests, whose folders have the names of its packages.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tiny import (
    TinyData,
    png,
    seeded_language,
    tiny_anyres,
    tiny_processor,
    tiny_stage,
    tiny_trainer,
)

from mmlite.features import FeatureCache
from mmlite.generation import Decoding
from mmlite.models.adapters import Adapter
from mmlite.models.quantization import Quantization
from mmlite.muon import MuonAdamW
from mmlite.parallel import leave_processes, rank, world_size
from mmlite.processor import Processor
from mmlite.records import Example, ImageRef, Turn
from mmlite.runs import CONFIG_FILE, build_stage
from mmlite.stages.measuring import Means
from mmlite.stages.speed import Speed

ROWS = 17
"""The last global batch has one row, so that the second process's share of it is empty."""

GLOBAL_BATCH = 8
CLIP = 0.05

SHARDED = ("fsdp", "one")

KINDS: dict[str, dict[str, Any]] = {
    "": {},
    "muon": {"optimizer": MuonAdamW},
    "lora": {"adapters": {"language": Adapter(rank=4)}},
    "qlora": {
        "adapters": {"language": Adapter(rank=4, quantize=Quantization(compute_dtype="float32"))}
    },
    "anyres": {"gradient_checkpointing": ["vision", "language"]},
    "bf16": {"speed": Speed(fused_norms=True, fused_rotary=True)},
    "chunked": {"speed": Speed(loss_chunk_tokens=3)},
    "recomputed": {"gradient_checkpointing": ["all"]},
    "packed": {},
    "every": {  # packed too
        "speed": Speed(loss_chunk_tokens=3, compile=True),
        "gradient_checkpointing": ["all"],
    },
    "composed": {},
    "killed": {},
    "resumed": {},
}
"""What a stage is given beside what all share; precision and resuming are the trainer's, and the
composed kind is built from the configuration in its folder."""

CHECKPOINT_STEP = 2
"""Step after which the killed kind leaves a checkpoint; it is killed in the next."""


class Killed(Exception):
    """Stands for the signal that ends a process."""


class Kill(Callback):
    """Ends a run in the step after its checkpoint."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == CHECKPOINT_STEP:
            raise Killed


class Watch(Callback):
    """Notes the type that weights are computed in."""

    def __init__(self) -> None:
        self.computed = ""

    def on_train_batch_start(self, trainer, pl_module: Any, batch, batch_idx):
        language = pl_module.parts["language"].model
        language.model.layers[0].mlp.register_forward_hook(self._note)

    def _note(self, module, inputs, output):
        self.computed = str(module.up_proj.weight.dtype)


def alternating_examples(processor: Processor) -> list[Example]:
    """Pairs of equal length, one with an image: the first process sees images, the second none."""
    examples = []
    for row in range(ROWS):
        images = ()
        if row % 2 == 0:
            user, images = "<image>", (ImageRef(data=png(row, width=16 + 4 * row)),)
        else:
            image = processor.encode(examples[-1].turns[:1], examples[-1].images)
            user = "what " * image.input_ids.count(processor.image_token_id)
        answer = " ".join(["red", "blue", "green", "one"][: 1 + row // 2 % 4])
        turns = (Turn("user", user), Turn("assistant", answer, trained=True))
        examples.append(
            Example(f"r{row}", turns, images, task="short_answer", answers=(answer,), row=row)
        )
    return examples


class SharedData(TinyData):
    """Takes this process's share of each global batch, as data modules do."""

    def train_dataloader(self):
        self.plan.rank, self.plan.processes = rank(), world_size()
        self.plan.places = lambda epoch: alternating_examples(self.processor)
        self.plan.budget = replace(self.plan.budget, window_batches=ROWS)
        return super().train_dataloader()


def run(
    kind: str,
    out: Path,
    *,
    clip: float | None = CLIP,
    resume: Path | None = None,
) -> dict[str, Any]:
    """Train and validate, leave the weights in a folder, and return the metrics."""
    seed_everything(0)
    base, _, name = kind.partition("_")
    processes = 2 if base in ("ddp", "fsdp") else 1
    accumulate = 2 if kind == "accumulate" else 1
    if base in SHARDED:
        strategy = ModelParallelStrategy(data_parallel_size=processes, tensor_parallel_size=1)
    else:
        strategy = "ddp" if base == "ddp" else "auto"
    is_tiled = name == "anyres"
    parts = ["projector", "language"]
    stage = tiny_stage(
        processor=tiny_anyres() if is_tiled else tiny_processor(features=FeatureCache()),
        trainable=["vision", *parts] if is_tiled else parts,
        decoding=Decoding(max_new_tokens=4),
        **{"optimizer": lambda groups: SGD(groups, lr=1.0, momentum=0.9), **KINDS[name]},
    )
    if "adapters" in KINDS[name]:
        stage.language = seeded_language
    if name == "composed":
        stage = build_stage(yaml.safe_load((out / CONFIG_FILE).read_text()))
    data = SharedData(
        stage.processor, number=ROWS, batch_size=GLOBAL_BATCH // processes // accumulate
    )
    if name in ("packed", "every"):
        data.plan.budget = replace(data.plan.budget, batch_size=2 // processes, pack_tokens=48)
    watch = Watch()
    callbacks: list[Callback] = [watch]
    if name in ("killed", "resumed", "composed"):
        keep = {"filename": "last", "every_n_train_steps": CHECKPOINT_STEP, "save_top_k": 1}
        callbacks.append(ModelCheckpoint(out / "checkpoints", **keep))
    trainer = tiny_trainer(
        out,
        devices=processes,
        strategy=strategy,
        max_steps=3,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=clip,
        limit_val_batches=None,
        precision="bf16-mixed" if name == "bf16" else "32-true",
        enable_checkpointing=len(callbacks) > 1,
        callbacks=callbacks + ([Kill()] if name == "killed" else []),
    )
    try:
        trainer.fit(stage, data, ckpt_path=resume, weights_only=True)
    except Killed:
        return {}
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {**metrics, "computed": watch.computed}


def main(out: Path, kinds: list[str]) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("error", message="FSDP2-wrapped module")  # gradients may be wrong
    # Graphs and their gradients are captured, but run as they are: no C++ compiler for a test.
    graphs = partialmethod(nn.Module.compile, backend="aot_eager")
    nn.Module.compile = graphs  # pyright: ignore[reportAttributeAccessIssue]
    for kind in kinds:
        is_resumed = kind.endswith("_resumed")
        killed = out / kind.replace("_resumed", "_killed") / "checkpoints" / "last.ckpt"
        metrics = run(kind, out / kind, resume=killed if is_resumed else None)
        if rank() == 0:
            (out / kind / "metrics.json").write_text(json.dumps(metrics))
    means = Means()
    means.add("all_right", 12.0 - rank(), 12 - rank())  # of 23, as many as there are
    means.add("nothing", 0.0, 0)
    if rank() == 0:
        means.add("of_one", torch.tensor(1.0), 2)
    values = means.values()
    if rank() == 0:
        (out / "means.json").write_text(json.dumps(values))
    leave_processes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
