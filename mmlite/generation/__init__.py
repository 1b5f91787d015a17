"""Batched decoding."""

from mmlite.generation.batch_decoder import LogitsProcessor as LogitsProcessor
from mmlite.generation.engine import Engine as Engine
from mmlite.generation.requests import Decoding as Decoding
from mmlite.generation.requests import Generation as Generation
from mmlite.generation.requests import Request as Request
from mmlite.generation.requests import Thinking as Thinking
