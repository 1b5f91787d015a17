"""Captions: describe the image, without a question."""

from data_modules.base import ExampleData
from data_modules.checks import need
from mmlite.records import Example


class CaptionData(ExampleData):
    """Image to caption, for caption alignment and captioning."""

    def ask(self, example: Example) -> tuple[str, str, str]:
        """Ask for a description."""
        return self.prompts.render("caption"), need(example, "caption"), "caption"


class SceneData(CaptionData):
    """Images with their scenes, for pretraining a vision encoder on attributes."""

    keep_examples = True
