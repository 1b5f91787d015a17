"""Sources: each reads one format into Examples."""

from data_modules.sources.base import Row as Row
from data_modules.sources.base import Source as Source
from data_modules.sources.columns import Columns as Columns
from data_modules.sources.hugging_face import HuggingFace as HuggingFace
from data_modules.sources.llava import LLaVA as LLaVA
from data_modules.sources.micro_text import MicroText as MicroText
from data_modules.sources.micro_world import MicroWorld as MicroWorld
from data_modules.sources.nlvr import NLVR as NLVR
from data_modules.sources.nlvr_statements import NLVRStatements as NLVRStatements
from data_modules.sources.nlvr_text import NLVRText as NLVRText
from data_modules.sources.parquet import Parquet as Parquet
from data_modules.sources.web_dataset import WebDataset as WebDataset
