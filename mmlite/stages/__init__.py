"""Training stages: LightningModules that plug into any data module."""

from mmlite.stages.base import Stage as Stage
from mmlite.stages.boxes import BoxPretraining as BoxPretraining
from mmlite.stages.language import LanguagePretraining as LanguagePretraining
from mmlite.stages.vision import VisionPretraining as VisionPretraining
from mmlite.stages.visual import CaptionAlignment as CaptionAlignment
from mmlite.stages.visual import Captioning as Captioning
from mmlite.stages.visual import ExtractionTuning as ExtractionTuning
from mmlite.stages.visual import InstructionTuning as InstructionTuning
