"""Stage: what every training stage shares."""

import math
from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Optimizer

from mmlite.batch import Batch
from mmlite.generation import Decoding, Engine
from mmlite.losses import token_loss
from mmlite.models import LanguageModel, Projector, VisionEncoder, VisionLanguageModel
from mmlite.models.adapters import Adapter
from mmlite.models.isolation import check_isolation
from mmlite.models.weightless import is_weightless
from mmlite.optim import Schedule, build_optimizer, divide_gradients, parameter_groups
from mmlite.parallel import seed_step, shard, sum_over_processes, uncompiled, world_size
from mmlite.processor import Processor
from mmlite.records import Prediction
from mmlite.stages.adapters import PartAdapters
from mmlite.stages.answers import Answered, answer, check_tasks, prediction, why_none
from mmlite.stages.averaging import check_averaging, copied
from mmlite.stages.frozen_features import open_cache, with_features
from mmlite.stages.handover import take_parts
from mmlite.stages.leaving import check_loss, leave, take_back
from mmlite.stages.measuring import MeasuringModule
from mmlite.stages.names import check_names, trainable_names
from mmlite.stages.precision import prepare
from mmlite.stages.report import PartRow, part_rows, part_table
from mmlite.stages.speed import Speed
from mmlite.stages.weights import WEIGHTS_FILE

_SHARED = ("processor", "language", "vision", "projector", "optimizer", "schedule", "decoding")
"""Of a stage, what copies of it share: factories know the command line, and so all of a run."""

OptimizerFactory = Callable[[Iterable], Optimizer]
LanguageFactory = Callable[[int], LanguageModel]
VisionFactory = Callable[[], VisionEncoder]
ProjectorFactory = Callable[[int, int], Projector]


class Stage(MeasuringModule, ABC):
    """One stage of training: builds a model, trains some of its parts, leaves their weights.

    Seams for ablations, and the only ones: `build` (what the model is), `default_trainable` (which
    parts learn), `loss` (what is minimised), `measure` (what is measured), and everything that
    `__init__` takes. See `docs/ablations.md`.

    Args:
        processor: Shared with the data module.
        language: Takes the vocabulary size and returns the language model.
        vision: Returns the vision encoder; null for a stage without images.
        projector: Takes vision and text dimension and returns the projector; null without images.
        optimizer: Takes parameter groups and returns an optimizer.
        schedule: Of the learning rate.
        trainable: Names of the parts that learn; null takes the stage's own.
        lr_scale: Factor of the learning rate by part.
        adapters: By part, a low-rank update that learns in its stead; the part itself stays as it
            is. Such a part must be named in `trainable` too.
        init_from: By part, a run's folder or a safetensors file to take weights from. Only
            weights are taken; `--ckpt_path` resumes a run. An adapter found there is gone on with
            if `adapters` names the part, and merged into the part otherwise.
        gradient_checkpointing: Names of the parts whose activations are computed again for the
            backward pass instead of kept, or `[all]`: less memory, more time, the same gradients.
        decoding: How answers are written when the stage is validated, tested or asked to predict;
            null measures the loss alone. A sharded model only measures the loss.
        speed: Switches that change time and memory, and no result.
    """

    default_trainable: ClassVar[tuple[str, ...]]
    """Names of the parts that learn unless the YAML says otherwise."""

    def __init__(
        self,
        processor: Processor,
        *,
        language: LanguageFactory | None = None,
        vision: VisionFactory | None = None,
        projector: ProjectorFactory | None = None,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule = Schedule(),  # noqa: B008
        trainable: list[str] | None = None,
        lr_scale: dict[str, float] | None = None,
        adapters: dict[str, Adapter] | None = None,
        init_from: dict[str, str] | None = None,
        gradient_checkpointing: list[str] | None = None,
        decoding: Decoding | None = Decoding(),  # noqa: B008
        speed: Speed = Speed(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.processor = processor
        self.language = language
        self.vision = vision
        self.projector = projector
        self.optimizer = optimizer
        self.schedule = schedule
        self.trainable = trainable_names(trainable, self.default_trainable, vision, projector)
        self.lr_scale = dict(lr_scale or {})
        self.adapters = PartAdapters(adapters or {})
        self.init_from = dict(init_from or {})
        self.gradient_checkpointing = tuple(gradient_checkpointing or ())
        self.decoding = decoding
        self.speed = speed
        self.finished: Path | None = None
        """Folder of a finished run of this very stage; its weights are taken when it is built."""
        self.model: nn.Module | None = None
        self.part_rows: list[PartRow] = []
        self._supervised_tokens = torch.zeros((), dtype=torch.float64)
        self._seed: int | None = None
        self._has_left_weights = False
        self._last_loss = torch.zeros(())
        self._looked_at = 0
        """Step after which the loss was last looked at."""
        self.num_terms = 0
        """Terms in the sum that the last training step returned."""

    def build(self) -> nn.Module:
        """Make the model with fresh weights; its children are the parts.

        Raises:
            ValueError: If a part is not given, or the projector puts out another number of tokens
                than the processor leaves room for.
        """
        if self.language is None:
            raise ValueError("model.init_args.language: got null, allowed: a language model")
        language = self.language(self.processor.vocabulary_size)
        vision = self.vision() if self.vision is not None else None
        projector = None
        if vision is not None and self.projector is not None:
            projector = self.projector(vision.dim, language.dim)
            given, made = self.processor.tokens_per_tile, projector.num_tokens(vision.num_patches)
            if given != made:
                raise ValueError(
                    f"processor.tokens_per_tile: got {given}, but the projector makes {made} "
                    f"tokens of a tile; set it to {made}"
                )
            if self.processor.image.has_layouts:
                projector.add_newline(language.dim)
        image_token_id = self.processor.image_token_id
        return VisionLanguageModel(language, vision, projector, image_token_id=image_token_id)

    def loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the summed loss of a batch and the number of terms in the sum."""
        chunk, is_compiled = self.speed.loss_chunk_tokens, self.speed.compile
        if chunk is None:
            logits, targets = self.built(batch)
            return token_loss(logits, targets)
        total, targets = self.built(batch, loss_chunk_tokens=chunk, is_loss_compiled=is_compiled)
        return total, targets.numel()

    @property
    def built(self) -> nn.Module:
        """The model, once `configure_model` made it."""
        assert self.model is not None, "configure_model comes first"
        return self.model

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The model's parts by name."""
        return {name: part for name, part in self.built.named_children() if part is not None}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stage":
        """Copy what is trained, for callbacks that average weights."""
        return copied(self, memo, shared=_SHARED)

    def configure_callbacks(self) -> list[Callback]:
        check_averaging(self.trainer, self.adapters)  # the first hook of a run
        return []

    @final
    def setup(self, stage: str) -> None:
        prepare(self.trainer.precision_plugin, is_trained=stage == "fit")
        if self._seed is None:  # what `seed_everything` set; each step sets its own
            self._seed = torch.initial_seed()
        self._has_left_weights = False

    @final
    def configure_model(self) -> None:
        if self.model is not None:
            return
        self.model = self.build()
        if self.gradient_checkpointing == ("all",):
            self.gradient_checkpointing = tuple(self.parts)
        given: Mapping[str, Iterable[str]] = {
            "trainable": self.trainable,
            "lr_scale": self.lr_scale,
            "adapters": self.adapters.forms,
            "init_from": self.init_from,
            "gradient_checkpointing": self.gradient_checkpointing,
        }
        check_names(given, self.parts)
        if is_weightless():  # to plan a run: shapes are all that is asked for
            self.adapters.add_shapes(self.parts)
            self._freeze()
            self.part_rows = part_rows(self.parts, self.trainable)
            self.speed.arrange(self.parts, self.gradient_checkpointing)
            return
        take_parts(self.parts, self.init_from, self.adapters, self.trainable)
        self.adapters.merge_others(self.model, self.parts, self.processor)
        if self._trainer is not None and self.trainer.training:
            self.adapters.check_bases(self.parts, self.build)
        precision = "32-true" if self._trainer is None else str(self.trainer.precision)
        self.adapters.add(self.parts, is_sharded=self._is_sharded(), precision=precision)
        if self.finished is not None:
            self.restore(self.finished)
        if self._trainer is not None:  # now: types are reported and features cached as they are
            self.trainer.precision_plugin.convert_module(self.model)
        self._check_packing()
        self._freeze()
        self.part_rows = part_rows(self.parts, self.trainable)
        rank_zero_info(part_table(self.part_rows))
        self._open_feature_cache()
        self.speed.arrange(self.parts, self.gradient_checkpointing)
        self.speed.compile_parts(self.parts)
        if self._is_sharded():
            shard(self.model, self.device_mesh, precision=precision)

    @final
    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.parts, self.trainable)
        optimizer = build_optimizer(self.optimizer, groups, self.lr_scale)
        steps = self.trainer.estimated_stepping_batches
        if steps < 1 or math.isinf(steps):
            raise ValueError(
                f"trainer.max_steps: got {self.trainer.max_steps}, allowed: 1 or more; the "
                "schedule needs to know its end, which trainer.max_epochs tells only without "
                "data.budget.max_batch_tokens, data.budget.pack_tokens and skipped data.bad_rows"
            )
        schedule = {"scheduler": self.schedule.build(optimizer, int(steps)), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    @final
    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        seed_step(self._seed or 0, self.trainer.fit_loop.total_batch_idx, self.device)
        batch = self.with_features(batch)
        total, count = self.loss(batch)
        self._supervised_tokens += count
        self.num_terms = count
        self._last_loss = total.detach()
        if count:
            # Not for Lightning's progress bar, which would ask the device for it at every batch.
            self.log("train/loss", total.detach() / count, batch_size=count)
        # Lightning divides by the accumulated batches and averages over processes; both are
        # undone here, and the sum is divided by all supervised tokens before the step.
        return total * (self.trainer.accumulate_grad_batches * world_size())

    @final
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        counted = self._supervised_tokens
        if world_size() > 1:  # on the device, where the processes' backend can reach it
            counted = sum_over_processes(counted.to(self.device))
        divide_gradients(optimizer, max(int(counted.item()), 1))
        self._supervised_tokens.zero_()

    @final
    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Lightning drops the gradients after the next forward pass, which then runs beside them.
        for parameter in self.built.parameters():
            parameter.grad = None

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        step = self.trainer.global_step
        every: int = self.trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]
        if step == self._looked_at or step % max(every, 1):
            return  # Lightning asks the device at these steps, too
        self._looked_at = step
        check_loss(self._last_loss, step)

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any] | None:
        return self.measure(batch, "val")

    def test_step(self, batch: Batch, batch_index: int) -> dict[str, Any] | None:
        return self.measure(batch, "test")

    def predict_step(self, batch: Batch, batch_index: int) -> list[Prediction]:
        if (why := self._why_no_answers()) is not None:
            raise ValueError(why)
        check_tasks(batch.examples)
        return [prediction(answered, self._seed or 0) for answered in self._answer(batch)]

    def measure(self, batch: Batch, prefix: str) -> dict[str, Any] | None:
        """Measure loss and score of a batch; the outputs are for callbacks to look at."""
        batch = self.with_features(batch)
        total, count = self.loss(batch)
        self.log_mean(f"{prefix}/loss", total, count)
        answered = self._answer(batch)
        self.log_mean(f"{prefix}/score", sum((a.score for a in answered), 0.0), len(answered))
        return {"answered": answered}

    def _answer(self, batch: Batch) -> list[Answered]:
        """Let the model write the last turn of each Example of a batch."""
        if self.decoding is None or self._why_no_answers() is not None:
            return []
        assert isinstance(self.built, VisionLanguageModel), "others write no answers"
        with uncompiled() if self.speed.compile else nullcontext():
            return answer(Engine(self.built, self.processor), batch.examples, self.decoding)

    def _why_no_answers(self) -> str | None:
        return why_none(self.built, self.decoding, is_sharded=self._is_sharded())

    def on_train_epoch_start(self) -> None:
        for name, part in self.parts.items():
            part.train(name in self.trainable)

    def on_train_end(self) -> None:
        self.save(Path(self.trainer.default_root_dir) / WEIGHTS_FILE)  # first: a disk may be full
        self._has_left_weights = True
        if self.processor.features is not None:
            self.processor.features.flush()

    def on_fit_end(self) -> None:
        # Lightning trains nothing, and ends nothing, if it resumes from a run's own last step.
        if self._has_left_weights or not self.trainer.fit_loop.done:
            return
        if self._is_sharded():  # its processes have parted
            raise ValueError(
                f"ckpt_path: got {self.trainer.ckpt_path}, of the run's last step, allowed: an "
                "earlier one, or a larger trainer.max_steps; model.init_args.init_from takes the "
                "weights of this one"
            )
        self.save(Path(self.trainer.default_root_dir) / WEIGHTS_FILE)

    def save(self, path: Path) -> None:
        """Write the weights that are nowhere else; every process of a sharded run must call it.

        Of a part with an adapter, the adapter alone is written, into a folder beside the file.
        """
        left = {name: self.parts[name] for name in self.left_parts()}
        leave(left, self.adapters, path, is_writer=self.global_rank == 0)
        rank_zero_info(f"Weights of {', '.join(left)} are in {path.parent}")

    def left_parts(self) -> list[str]:
        """Return the parts that were trained, and those whose random weights nobody else has."""
        random = {
            name
            for name, part in self.parts.items()
            if name not in self.init_from and not getattr(part, "is_published", False)
        }
        return [name for name in self.parts if name in self.trainable or name in random]

    def restore(self, path: Path) -> None:
        """Load what a run of this very stage trained and left in its folder, or in a checkpoint.

        Raises:
            ValueError: If something of it is missing or does not fit.
        """
        take_back(self.parts, self.left_parts(), self.adapters, path)
        if "vision" in self.left_parts():
            self._open_feature_cache()  # it was opened for the encoder as it was built

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.adapters.leave_out_base(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.adapters.put_back_base(self, checkpoint)

    def with_features(self, batch: Batch) -> Batch:
        """Encode the tiles of a batch with the frozen encoder and keep the result in the cache."""
        return with_features(batch, self.processor.features, self.parts.get("vision"))

    def _freeze(self) -> None:
        for name, part in self.parts.items():
            if name not in self.adapters.forms:  # an adapter has frozen its base
                part.requires_grad_(name in self.trainable)
            part.train(name in self.trainable)

    def _check_packing(self) -> None:
        """Stop if examples are packed for a language model that would mix them."""
        data = None if self._trainer is None else getattr(self.trainer, "datamodule", None)
        packs = getattr(getattr(data, "budget", None), "pack_tokens", None) is not None
        language = self.parts.get("language")
        if packs and self.trainer.training and isinstance(language, LanguageModel):
            check_isolation(language)

    def _open_feature_cache(self) -> None:
        # A shard of an encoder cannot encode by itself, apart from the model it is a part of.
        is_encoding = "vision" not in self.trainable and not self._is_sharded()
        encoder = self.parts.get("vision") if is_encoding else None
        precision = "32-true" if self._trainer is None else str(self.trainer.precision)
        open_cache(self.processor.features, encoder, precision=precision)

    def _is_sharded(self) -> bool:
        return self._trainer is not None and hasattr(self.trainer.strategy, "device_mesh")
