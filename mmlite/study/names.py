"""The words that a study's file is made of, and the names of its jobs."""

import re

PERCEIVERS = ("extract", "caption", "oracle_question", "oracle_scene", "oracle_caption", "blind")
REASONERS = ("think", "answer", "symbolic", "majority")
MODEL_PERCEIVERS = ("extract", "caption")
MODEL_REASONERS = ("think", "answer")
PAIRS = ("same", "grid")
ROLES = ("end_to_end", "extract", "caption", "reasoner")
MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning take."""


def is_plain(name: str) -> bool:
    """Whether a name can be a part of a file's name, on any system."""
    return re.fullmatch(r"[\w.+-]+", name) is not None and name not in (".", "..")


def run_of(job: str, size: str) -> str:
    """Return the run that a job of this name trains; the inverse of `run_job`."""
    return job.removesuffix(f"-{size}") if size else job


def run_job(run: str, size: str) -> str:
    """Return the name of the job that trains a run; an empty size is that which all share."""
    return f"{run}-{size}" if size else run


def perceive_job(perceiver: str, size: str) -> str:
    """Return the name of the job in which a model sees."""
    return f"perceive-{perceiver}-{size}"


def end_to_end_job(size: str) -> str:
    """Return the name of the job in which a model sees and answers."""
    return f"answer-end_to_end-{size}"


def reasoner_job(size: str) -> str:
    """Return the name of the job in which a model answers, or, with an empty size, a rule."""
    return f"answer-reasoner-{size}" if size else "answer-symbolic"
