"""Questions: answer directly."""

from data_modules.base import ExampleData
from mmlite.records import Example
from mmlite.tasks import get_task


class QAData(ExampleData):
    """Image and question to answer, for instruction tuning."""

    def ask(self, example: Example) -> tuple[str, str, str]:
        """Ask for the answer, as the task prompts for it."""
        task = get_task(example.task)
        key = self.prompts.answer_key(task.name)
        user = self.prompts.render(key, **task.fields(example))
        return user, task.gold(example), example.task
