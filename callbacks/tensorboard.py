"""Where observers write pictures and texts: the TensorBoard logs of a trainer, if it has any."""

import re
from collections.abc import Iterable, Sequence

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

_PLAIN = re.compile(r"[^A-Za-z0-9 .,?!:;()/%+=\-\u0080-\U0010ffff]")


def writers(trainer: Trainer) -> list[SummaryWriter]:
    """Return the open TensorBoard logs; none in a fast development run or on other processes."""
    if not trainer.is_global_zero:
        return []
    loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [logger.experiment for logger in loggers]


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, on one line.

    Everything that Markdown or HTML could read as markup becomes a character reference.
    """
    line = " ".join(text.split())
    return _PLAIN.sub(lambda found: f"&#{ord(found.group())};", line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of texts, each of them escaped."""
    lines = [list(header), *rows]
    drawn = ["| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines]
    drawn.insert(1, "|" + "---|" * len(header))
    return "\n".join(drawn)
