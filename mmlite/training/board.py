"""How a run is looked at in TensorBoard."""

import shlex
import sysconfig
from pathlib import Path


def tensorboard_command(folder: str | Path) -> str:
    """Return the command that shows a folder's logs, as it can be typed right here.

    Args:
        folder: Of a run or a study.
    """
    beside = Path(sysconfig.get_path("scripts")) / "tensorboard"  # may not be on the path
    program = str(beside) if beside.exists() else "tensorboard"
    return f"{shlex.quote(program)} --logdir {shlex.quote(str(folder))}"
