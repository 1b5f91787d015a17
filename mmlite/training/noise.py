"""What the terminal shows of a run: our own lines, once, and none of other libraries' chatter."""

import logging
import re
import warnings

CHATTER = re.compile(
    r"litlogger|litmodels|^(GPU|TPU|HPU|MPS) available|^`Trainer\.\w+` (stopped|was configured)"
    r"|^`Trainer\(limit_\w+=|recommended only for model debugging"
    r"|^Initializing distributed|^distributed_backend=|^-{20,}|^All distributed processes"
    r"|^Loading `\w+` |^Restored all states|^Restoring states|^LOCAL_RANK|^You are using the plain"
    r"|^Failed to load CPU gemm_4bit_forward"
)
"""Log lines that tell nothing a user can act on."""

CHATTERING = ("torch._subclasses.fake_tensor",)
"""Loggers all of whose lines are: these count a cache's hits as Python ends."""

WARNINGS = (
    # Loading is in this process because rendering a picture is faster than sending it over.
    r".*does not have many workers which may be a bottleneck.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    # Frozen parts are in evaluation mode on purpose.
    r".*module\(s\) in eval mode at the start of training.*",
    # A run without a validation source has an empty list of validation batches.
    r".*Total length of `list` across ranks is zero.*",
    # A run's length is counted in steps.
    r".*number of training batches .* is smaller than the logging interval.*",
    r".*resuming from a checkpoint that ended before the epoch ended.*",
    # Other libraries' insides.
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*LeafSpec.* is deprecated.*",
    r".*`_get_vmap_fusion.*",
    r".*\.grad attribute of a Tensor that is not a leaf Tensor.*",  # torch.compile's own look
)


class Chatter(logging.Filter):
    """Drops chatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        return record.name not in CHATTERING and CHATTER.search(record.getMessage()) is None


def show_log() -> None:
    """Show log lines on stderr, bare."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for handler in logging.getLogger().handlers:
        if not any(isinstance(f, Chatter) for f in handler.filters):
            handler.addFilter(Chatter())


def quieten() -> None:
    """Let Lightning log through the root alone, and silence warnings about deliberate choices.

    Lightning adds a handler of its own, so that every line would come twice.
    """
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.split(".")[0] in ("lightning", "lightning_fabric", "pytorch_lightning"):
            logger.handlers.clear()
            logger.propagate = True
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
