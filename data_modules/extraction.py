"""Extractions: write down what the question needs."""

from data_modules.base import ExampleData
from data_modules.checks import need
from mmlite.prompts import extraction_prompt
from mmlite.records import Example


class ExtractionData(ExampleData):
    """Image and question to the question-relevant details, for visual extraction tuning."""

    def ask(self, example: Example) -> tuple[str, str, str]:
        """Ask for the details a question needs."""
        need(example, "question")
        user = extraction_prompt(self.prompts, example)
        return user, need(example, "extraction"), "extraction"
