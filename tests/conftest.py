"""What every test gets: shapes checked, no network, no GPU unless asked for, no state left behind.

PyTorch is looked up in `sys.modules`, never imported here, so that tests without it start at once.
"""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]

# Read by libraries when they are first imported, so set before any of them is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where tensors are handled, signatures are checked while tests run: types, ranks, sizes of axes.
CHECKED = [
    *("mmlite.batch", "mmlite.features", "mmlite.generation", "mmlite.losses", "mmlite.metrics"),
    *("mmlite.models", "mmlite.muon", "mmlite.optim", "mmlite.parallel", "mmlite.processor"),
    "mmlite.stages",
]
install_import_hook(CHECKED, "beartype.beartype")

PLACE = ("MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")
LAUNCH = {name: os.environ.get(name) for name in PLACE}
"""What tells a process its place among others, before any test."""


def pytest_configure(config: pytest.Config) -> None:
    if not _gpu_asked_for(config):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Files that take longest begin first, so that no process is left alone with one at the end.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    reason = "needs a CUDA device; run pytest -m gpu"
    if _gpu_asked_for(config):
        import torch

        if torch.cuda.is_available():
            return
        reason = "needs a CUDA device; this machine has none"
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=reason))


def _gpu_asked_for(config: pytest.Config) -> bool:
    expression = str(config.getoption("markexpr", default=""))
    return "gpu" in expression and "not gpu" not in expression


@pytest.fixture(autouse=True)
def restored_state() -> Iterator[None]:
    """Put back random states, PyTorch's defaults and thread count; end process groups.

    Strategies leave what tells a process its place among others in the environment, where a later
    test would take itself for one of several.
    """
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        if numpy := sys.modules.get("numpy"):
            stack.callback(numpy.random.set_state, numpy.random.get_state())
        if torch := sys.modules.get("torch"):
            _keep_torch(torch, stack)
        stack.callback(_put_back_launch)
        stack.callback(_end_process_group)
        yield


def _keep_torch(torch: Any, stack: ExitStack) -> None:
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
    algorithms = torch.are_deterministic_algorithms_enabled()
    stack.callback(torch.use_deterministic_algorithms, algorithms)
    stack.callback(torch.set_num_threads, torch.get_num_threads())


def _put_back_launch() -> None:
    for name, value in LAUNCH.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _end_process_group() -> None:
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the NLVR corpus in its official layout; the test is skipped where it is absent."""
    named = os.environ.get("MMLITE_NLVR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "nlvr"
    if not folder.is_dir():
        pytest.skip(f"no NLVR corpus in {folder}; set MMLITE_NLVR to the folder that holds it")
    return folder
