"""How fast a run is, what it waits for, and how much it has seen."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.seen import SAME_EVERYWHERE, Seen, over_processes, peak_memory_mb
from callbacks.totals import write_json
from mmlite.batch import Batch
from mmlite.parallel import rank
from mmlite.stages import Stage

THROUGHPUT_FILE = "throughput.json"
"""Name of the file in a run's folder."""


class Throughput(Callback):
    """Log speed as `throughput/...` and write `throughput.json` into the run's folder.

    Logged every `trainer.log_every_n_steps` steps: supervised tokens, tokens and examples per
    second, the share of padding, the share of a batch's places that hold a token, examples per row
    (more than one where they are packed), the share of time spent waiting for data, and the peak
    memory in MB: of the GPU if there is one, else of the process. All are over all processes,
    memory is that of the largest. Validation and checkpoints are not counted as time.

    The file has the totals of the whole run (`steps`, `images`, `sequences`, `rows`,
    `supervised_tokens`, `all_tokens`, `padded_tokens`, `seconds`), also over resumes, and the rates
    after the warm-up.

    Args:
        warmup_steps: First steps that are left out of the rates, because they also set things up.
    """

    def __init__(self, warmup_steps: int = 5) -> None:
        if warmup_steps < 0:
            raise ValueError(
                f"Throughput.warmup_steps: got {warmup_steps}, allowed: 0 or more; 5 is usual"
            )
        self.warmup_steps = warmup_steps
        self.total = Seen()
        self.warm = Seen()
        self._window = Seen()
        self._first_step = 0
        self._last_step = 0
        self._start = 0.0
        self._end: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._window = Seen()
        self._first_step = self._last_step = trainer.global_step
        self._end = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Stage), "mmlite trains stages"
        now = time.perf_counter()
        waited = 0.0 if self._end is None else self._start - self._end
        step = Seen(
            steps=trainer.global_step - self._last_step,
            images=pl_module.processor.num_images(batch),
            rows=len(batch.input_ids),
            sequences=batch.num_sequences,
            supervised_tokens=batch.num_supervised,
            all_tokens=batch.num_tokens,
            padded_tokens=batch.input_ids.numel(),
            seconds=now - self._start + waited,
            waiting_seconds=waited,
        )
        is_step, self._last_step = step.steps > 0, trainer.global_step
        self.total.add(step)
        if trainer.global_step - self._first_step > self.warmup_steps:
            self.warm.add(step)
            self._window.add(step)
            if is_step and _is_logged(trainer):
                self._log(trainer, pl_module)
        self._end = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._end = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total, warm = over_processes(self.total), over_processes(self.warm)
        peak = peak_memory_mb(pl_module.device)
        if trainer.is_global_zero:
            kept = ("steps", "images", "sequences", "rows")
            kept += ("supervised_tokens", "all_tokens", "padded_tokens")
            values = {name: round(getattr(total, name)) for name in kept}
            rates = warm.rates() if warm.steps else {}
            write_json(
                Path(trainer.default_root_dir) / THROUGHPUT_FILE,
                {**values, "seconds": total.seconds, **rates, "peak_memory_mb": peak},
            )

    def state_dict(self) -> dict[str, Any]:
        return {name: asdict(over_processes(getattr(self, name))) for name in ("total", "warm")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, values in state_dict.items():
            # Tokens are sums over all processes, so only one of them goes on from them.
            shared = {key: values[key] for key in SAME_EVERYWHERE}
            setattr(self, name, Seen(**(values if rank() == 0 else shared)))

    def _log(self, trainer: Trainer, module: LightningModule) -> None:
        window, self._window = over_processes(self._window), Seen()
        values = {**window.rates(), "peak_memory_mb": peak_memory_mb(module.device)}
        named = {f"throughput/{name}": value for name, value in values.items()}
        for logger in trainer.loggers:
            logger.log_metrics(named, step=trainer.global_step)


def _is_logged(trainer: Trainer) -> bool:
    every = trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]
    return every > 0 and trainer.global_step % every == 0
