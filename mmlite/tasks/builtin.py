"""Tasks by the names that examples carry."""

import importlib
import sys
from contextlib import suppress

from mmlite.tasks.alternative import Alternative
from mmlite.tasks.base import Task
from mmlite.tasks.box import Box
from mmlite.tasks.caption import Caption
from mmlite.tasks.extraction import Extraction
from mmlite.tasks.multiple_choice import MultipleChoice
from mmlite.tasks.number import Number
from mmlite.tasks.short_answer import ShortAnswer
from mmlite.tasks.yes_no import YesNo

_BUILTIN: tuple[Task, ...] = (
    *(Caption(), Extraction(), MultipleChoice(), ShortAnswer()),
    *(YesNo(), Alternative(), Number(), Box()),
)
TASK_NAMES: tuple[str, ...] = tuple(task.name for task in _BUILTIN)


def get_task(task: str | Task, *, may_import: bool = False) -> Task:
    """Return a task by name: a built-in one, or one of your own by its class path.

    Args:
        task: The name; a task itself is returned as it is.
        may_import: Whether the module of a class path is imported. Rows of data name tasks too, and
            may name those alone whose module is there: a configuration or a source loaded it.

    Raises:
        ValueError: If there is no such task.
    """
    if isinstance(task, Task):
        return task
    for builtin in _BUILTIN:
        if builtin.name == task:
            return builtin
    module, _, name = task.rpartition(".")
    found = None
    if module and may_import:
        with suppress(ModuleNotFoundError):
            importlib.import_module(module)
    if module in sys.modules:
        found = getattr(sys.modules[module], name, None)
    if isinstance(found, type) and issubclass(found, Task):
        return found()
    raise ValueError(
        f"task: got {task!r}, allowed: {', '.join(TASK_NAMES)}; for an answer of your own, "
        "subclass mmlite.tasks.Task and give its class path, such as my_module.MyTask"
    )
