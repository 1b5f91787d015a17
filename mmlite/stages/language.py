"""Language pretraining: text alone."""

from typing import final

from mmlite.stages.base import Stage


@final
class LanguagePretraining(Stage):
    """Train a language model on text; the micro-world's models start here."""

    default_trainable = ("language",)
