"""The processor: the only place that knows tokens, label masks and image placeholders."""

from mmlite.processor.encoded import Encoded as Encoded
from mmlite.processor.processor import Processor as Processor
from mmlite.processor.tiles import Tiles as Tiles
from mmlite.processor.tiles import load_tiles as load_tiles
