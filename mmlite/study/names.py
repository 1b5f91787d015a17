"""The words that a study's file is made of."""

PERCEIVERS = ("extract", "caption", "oracle_question", "oracle_scene", "oracle_caption", "blind")
REASONERS = ("think", "answer", "symbolic", "majority")
MODEL_PERCEIVERS = ("extract", "caption")
MODEL_REASONERS = ("think", "answer")
PAIRS = ("same", "grid")
ROLES = ("end_to_end", "extract", "caption", "reasoner")
MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning take."""
