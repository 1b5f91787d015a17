"""Extractions: write down what the question needs."""

from data_modules.base import ExampleData
from data_modules.checks import need
from mmlite.records import Example


class ExtractionData(ExampleData):
    """Image and question to the question-relevant details, for visual extraction tuning."""

    def ask(self, example: Example) -> tuple[str, str, str]:
        """Ask for the details a question needs."""
        user = self.prompts.render("extraction", question=need(example, "question"))
        return user, need(example, "extraction"), "extraction"
