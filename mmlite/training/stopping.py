"""What ends a run before it is done, SIGTERM from outside, and what keeps two runs apart."""

import errno
import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lightning import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from mmlite.config.problem import ArgumentProblem
from mmlite.errors import Stopped
from mmlite.parallel import lost_a_process
from mmlite.training.checkpoint import CHECKPOINTS

LOCK_FILE = ".lock"
"""Held by the process that trains into a run's folder; whatever ends it lets go of it."""


def last_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that a run left to be gone on from, if there is one.

    Args:
        folder: Of the run.
    """
    found = folder / CHECKPOINTS / "last.ckpt"
    return found if found.exists() else None


@contextmanager
def terminable(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Let SIGTERM, as schedulers and containers send it, end a run as one that is not done.

    A run that trains is ended after its batch, in all processes at once: Lightning tells them. Its
    own handler would send that in the middle of what they exchange, and the run would count as
    done.

    Args:
        trainer: Of the run.
        folder: Of the run.

    Raises:
        Stopped: If SIGTERM came before the run was done; in one process alone, it has a message.
    """
    connector = trainer._signal_connector

    def note(signum: int, _: FrameType | None) -> None:
        connector.received_sigterm = True
        # Lightning looks at it between batches, once it has taken over signals.
        if not connector._original_handlers or trainer.state.fn != TrainerFn.FITTING:
            raise SIGTERMException

    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield
        return
    connector._sigterm_notifier_fn = note
    signal.signal(signal.SIGTERM, note)
    try:
        yield
    except (SIGTERMException, RuntimeError) as error:
        was_term = connector.received_sigterm or isinstance(error, SIGTERMException)
        if not was_term or (isinstance(error, RuntimeError) and not lost_a_process(error)):
            raise
        launcher = trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGKILL)  # others may wait for this one for ever
        raise Stopped(_told(folder) if trainer.is_global_zero else "") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _told(folder: Path) -> str:
    found = last_checkpoint(folder)
    if found is None:
        return "stopped by SIGTERM, before its first checkpoint; the same command begins anew"
    return f"stopped by SIGTERM; the same command with --ckpt_path {found} goes on"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while one trains into it; its own processes share it.

    Args:
        folder: Of the run, which must be there.

    Raises:
        ArgumentProblem: If another process trains into it.
    """
    if getattr(rank_zero_only, "rank", 0):  # set as Lightning is imported
        yield
        return
    with (folder / LOCK_FILE).open("w") as file:
        try:
            # Not flock: workers that load data are forked, and would hold it when this is killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise ArgumentProblem(
                    f"run: got {folder}, which another mmlite fit is writing to, allowed: a folder "
                    "of its own; wait for the other one, or give another --run"
                ) from error
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise  # those are of disks that know no locks
        yield
