"""LightningDataModules for captions, extractions, questions and text, and their sources."""

from data_modules.bad_rows import BadRows as BadRows
from data_modules.base import ExampleData as ExampleData
from data_modules.caption import CaptionData as CaptionData
from data_modules.caption import SceneData as SceneData
from data_modules.extraction import ExtractionData as ExtractionData
from data_modules.mixture import Mixed as Mixed
from data_modules.qa import QAData as QAData
from data_modules.text import TextData as TextData
