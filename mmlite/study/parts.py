"""What the model of a run is made of, told by its shapes before anything is trained."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.models import VisionLanguageModel
from mmlite.stages import Stage
from mmlite.training.checks import check_mappings


@dataclass(frozen=True)
class Parts:
    """What others can ask of a run once it is done.

    Attributes:
        stage: Name of the stage's class.
        left: Parts whose weights the run leaves.
        writes: Whether the model writes text.
        sees: Whether it sees images.
    """

    stage: str
    left: Collection[str]
    writes: bool
    sees: bool


def parts_of(parser: LightningArgumentParser, config: Namespace) -> Parts | None:
    """Build the stage of a run and, without weights, its model.

    Args:
        parser: Of `mmlite fit`.
        config: What it has parsed.

    Returns:
        None where a model cannot be built by shapes alone, or something for it is not here; what
        is wrong then is told when the run starts.

    Raises:
        ArgumentProblem: If a class refuses its arguments, or a name of a part is none.
    """
    config = config.clone()
    for key in ("trainer", "data"):
        config.pop(key, None)
    for key in ("processor", "model"):
        check_mappings(key, config.get(key))
    try:
        stage: Stage = parser.instantiate_classes(config)["model"]
        with torch.device("meta"):
            stage.configure_model()
    except ValueError as error:
        raise ArgumentProblem(explain(str(error), Known())) from error
    except (RuntimeError, OSError, ImportError):
        return None
    writes = isinstance(stage.built, VisionLanguageModel)
    sees = writes and stage.parts.get("vision") is not None
    return Parts(type(stage).__name__, tuple(stage.left_parts()), writes, sees)
