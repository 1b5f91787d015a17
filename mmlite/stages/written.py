"""Which steps of a run are written to its loggers."""

from lightning import Trainer


def is_written(trainer: Trainer, step: int) -> bool:
    """Whether loggers write what is logged in an optimizer step: every so many, and the last.

    Args:
        trainer: Of the run.
        step: Its number, from 1.
    """
    every = trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]
    return step == trainer.max_steps or (every > 0 and step % every == 0)
