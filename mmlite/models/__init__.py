"""Parts of a vision-language model, and the model."""

from mmlite.models.language import LanguageModel as LanguageModel
from mmlite.models.language import NewLanguageModel as NewLanguageModel
from mmlite.models.language import PretrainedLanguageModel as PretrainedLanguageModel
from mmlite.models.language import count_non_embedding as count_non_embedding
from mmlite.models.language import count_parameters as count_parameters
from mmlite.models.projector import LinearProjector as LinearProjector
from mmlite.models.projector import MLPProjector as MLPProjector
from mmlite.models.projector import PixelShuffleMLP as PixelShuffleMLP
from mmlite.models.projector import Projector as Projector
from mmlite.models.projector import merge_patches as merge_patches
from mmlite.models.vision import TimmVision as TimmVision
from mmlite.models.vision import VisionEncoder as VisionEncoder
from mmlite.models.vision import encode_tiles as encode_tiles
from mmlite.models.vlm import VisionLanguageModel as VisionLanguageModel
