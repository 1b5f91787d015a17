"""The built-in tasks by the names that examples carry."""

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


def get_task(task: str | Task) -> Task:
    """Return a built-in task by name; a task of your own is returned as it is."""
    if isinstance(task, Task):
        return task
    for builtin in _BUILTIN:
        if builtin.name == task:
            return builtin
    raise ValueError(
        f"task: got {task!r}, allowed: {', '.join(TASK_NAMES)}; "
        f"for an answer of your own, subclass mmlite.tasks.Task and give an instance"
    )
