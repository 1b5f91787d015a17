"""Text without images, for language pretraining and as replay."""

from data_modules.base import ExampleData
from mmlite.records import Example


class TextData(ExampleData):
    """Conversations as their sources give them."""

    def ask(self, example: Example) -> tuple[str, str, str]:
        """Refuse: text comes with its turns."""
        raise ValueError(
            f"{example.row_name}: got no turns, allowed: sources "
            "of text, whose rows come with their turns"
        )
