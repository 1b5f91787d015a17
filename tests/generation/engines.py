"""Engines whose models are random, and write texts that differ from prompt to prompt."""

from collections.abc import Callable

import torch
from lightning import seed_everything
from tiny import tiny_projector, tiny_stage, tiny_vision

from mmlite.generation import Engine
from mmlite.models import LanguageModel, VisionLanguageModel
from mmlite.processor import Processor


def stage_engine() -> Engine:
    """The model of a stage, as it is built there."""
    seed_everything(3)
    stage = tiny_stage()
    stage.configure_model()
    # Fresh tied embeddings repeat their input for ever; noise makes what is written differ.
    for parameter in stage.parts["language"].parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    assert isinstance(stage.built, VisionLanguageModel)
    return Engine(stage.built, stage.processor)


def wide_engine(build: Callable[[int], LanguageModel], processor: Processor) -> Engine:
    """A language model that sees, all matrices widely spread: texts end at various lengths.

    Args:
        build: Takes the vocabulary size and returns the language model.
        processor: Of the engine.
    """
    torch.manual_seed(1)
    vision, language = tiny_vision(), build(processor.vocabulary_size)
    projector = tiny_projector(vision.dim, language.dim)
    if processor.image.has_layouts:
        projector.add_newline(language.dim)
    model = VisionLanguageModel(
        language, vision, projector, image_token_id=processor.image_token_id
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    return Engine(model.eval(), processor)
