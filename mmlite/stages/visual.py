"""The four stages that train a vision-language model; they differ in what learns and from what."""

from typing import final

from mmlite.stages.base import Stage


@final
class CaptionAlignment(Stage):
    """Train the projector alone on captions, so that the language model can read image features.

    Source: LLaVA, arXiv:2304.08485, sec. 4.2 (stage 1); arXiv:2511.17487, supplement.
    """

    default_trainable = ("projector",)


@final
class Captioning(Stage):
    """Train projector and language model to describe images (arXiv:2511.17487, sec. 4)."""

    default_trainable = ("projector", "language")


@final
class InstructionTuning(Stage):
    """Train projector and language model to answer questions about images, end to end.

    Source: LLaVA, arXiv:2304.08485, sec. 4.2 (stage 2); arXiv:2511.17487, sec. 3.
    """

    default_trainable = ("projector", "language")


@final
class ExtractionTuning(Stage):
    """Train projector and language model to write down what a question needs.

    Visual extraction tuning, arXiv:2511.17487, sec. 5.
    """

    default_trainable = ("projector", "language")
