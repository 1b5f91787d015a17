"""What a model writes while it is validated, beside the picture and the right answer."""

from itertools import chain, zip_longest
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.categories import answers_of
from callbacks.panel import asked, draw, verdict
from callbacks.tensorboard import table, writers
from mmlite.stages.answers import Answered


class SamplePanel(Callback):
    """Write samples of a validation to TensorBoard, as one picture and as texts.

    Each sample has its image, what was asked, what the model wrote, the right answer, and whether
    it is right. The samples are the first of each category, one category after the other, so
    that every validation shows the same ones. The first process shows those it has.

    Args:
        num_samples: Samples of a panel.
        every_n_validations: Validations from one panel to the next.
    """

    def __init__(self, num_samples: int = 8, every_n_validations: int = 1) -> None:
        given = {"num_samples": num_samples, "every_n_validations": every_n_validations}
        wrong = [f"SamplePanel.{name}: got {value}" for name, value in given.items() if value < 1]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}, allowed: 1 or more; leave it out for none")
        self.num_samples = num_samples
        self.every_n_validations = every_n_validations
        self._validations = 0
        self._by_category: dict[str, list[Answered]] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._by_category = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for answered in answers_of(outputs):
            kept = self._by_category.setdefault(answered.example.category, [])
            if len(kept) < self.num_samples:
                kept.append(answered)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        number, self._validations = self._validations, self._validations + 1
        samples, self._by_category = self.samples(), {}
        logs = writers(trainer)
        if number % self.every_n_validations or not samples or not logs:
            return
        text, picture = samples_text(samples), draw(samples)
        for writer in logs:
            writer.add_text("samples", text, trainer.global_step)
            writer.add_image("samples", picture, trainer.global_step, dataformats="HWC")

    def samples(self) -> list[Answered]:
        """Return the samples of the validation so far, one category after the other."""
        by_category = [self._by_category[category] for category in sorted(self._by_category)]
        turns = chain.from_iterable(zip_longest(*by_category))
        return [answered for answered in turns if answered is not None][: self.num_samples]


def samples_text(samples: list[Answered]) -> str:
    """Return samples as Markdown, one table each."""
    tables = []
    for number, answered in enumerate(samples, start=1):
        example = answered.example
        rows = [
            ("asked", asked(answered)),
            ("gold", answered.gold),
            ("written", answered.output),
            ("read as", "(unreadable)" if answered.parsed is None else answered.parsed),
            ("verdict", verdict(answered)),
        ]
        title = " / ".join(name for name in (example.task, example.category, example.id) if name)
        tables.append(table((f"{number}", title), rows))
    return "\n\n".join(tables)
