"""`mmlite merge`: put a run's adapters into the weights they update."""

import logging
from collections.abc import Sequence

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.training.noise import quieten

_log = logging.getLogger(__name__)


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite merge", exit_on_error=False, allow_abbrev=False)
    made.add_argument("run", type=str, help="Folder of a run with adapters, or its checkpoint.")
    made.add_argument("--out", type=str, required=True, help="Folder to write; must not exist.")
    made.add_argument("--tolerance", type=float, help="Largest share that logits may differ by.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option is wrong.
        ValueError: If the run cannot be merged, or the merged model says something else.
    """
    options = parser()
    try:
        given = options.parse_args(list(arguments[1:]))
    except ArgumentError as error:
        known = Known(list(options.get_defaults().keys()))
        raise ArgumentProblem(explain(str(error), known)) from error
    from mmlite.merge import merge_run

    quieten()
    merged = merge_run(given.run, given.out, tolerance=given.tolerance)
    parts = ", ".join(f"{part} in {dtype}" for part, dtype in merged.parts.items())
    _log.info("Merged %s of %s into %s", parts, given.run, given.out)
    _log.info(
        "Largest difference of two logits: %.2g of the largest logit (allowed: %.2g)",
        merged.difference,
        merged.tolerance,
    )
