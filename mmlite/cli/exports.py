"""`mmlite export`: a run's model as a folder that plain transformers loads."""

import logging
from collections.abc import Sequence

from jsonargparse import ArgumentError, ArgumentParser

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.training.noise import quieten

_log = logging.getLogger(__name__)


def parser() -> ArgumentParser:
    """Return the parser of the command's options."""
    made = ArgumentParser(prog="mmlite export", exit_on_error=False, allow_abbrev=False)
    made.add_argument("folder", type=str, help="A finished run's folder.")
    made.add_argument("--out", type=str, help="New folder for the exported model.")
    made.add_argument("--dtype", type=str, help="Type that weights are rounded to.")
    made.add_argument("--name", type=str, default="", help="Title of the model card.")
    made.add_argument("--license", type=str, default="unknown", help="Of the weights.")
    made.add_argument("--data-license", type=str, default="unknown", help="Of the data.")
    made.add_argument("--language", type=str, default="en", help="Of the model's texts.")
    made.add_argument("--max-shard-size", type=str, default="5GB", help="Largest file.")
    return made


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ArgumentProblem: If an option is wrong.
        ValueError: If the run cannot be exported, or the export does not do what the run does.
    """
    options = parser()
    try:
        given = options.parse_args(list(arguments[1:]))
    except ArgumentError as error:
        known = Known(list(options.get_defaults().keys()))
        raise ArgumentProblem(explain(str(error), known)) from error
    if not given.out:
        raise ArgumentProblem("export: got no --out, allowed: a new folder; give --out FOLDER")
    from mmlite.interop.export import Labels, export_run

    quieten()
    labels = Labels(
        name=given.name,
        license=given.license,
        data_license=given.data_license,
        language=given.language,
    )
    done = export_run(
        given.folder,
        given.out,
        dtype=given.dtype,
        labels=labels,
        max_shard_size=given.max_shard_size,
    )
    found = done.compared
    _log.info("Exported: %s (%s)", done.folder, done.kind)
    _log.info(
        "Compared on %d conversations: same tokens, same greedy answers; logits within %.1e, "
        "pixels within %.1e",
        found.samples,
        found.logits,
        found.pixels,
    )
    _log.info(
        'Pixels are those of AutoImageProcessor.from_pretrained(FOLDER, backend="pil"), as the '
        "model card asks for them; those of torchvision, which AutoProcessor takes where it is "
        "installed, differ by up to about 2e-2"
    )
