"""Merging: a run with adapters becomes a run without, checked by its logits."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from mmlite.models.adapters import merge_adapter
from mmlite.models.quantization import compute_in_float32
from mmlite.runs import CONFIG_FILE, load_run, run_folder
from mmlite.stages import Stage
from mmlite.stages.adapters import weights_dtype
from mmlite.stages.merging import TOLERANCE, check_same, relative_difference, sample_logits
from mmlite.stages.weights import WEIGHTS_FILE, full_state, save_weights

RECORD = "merge.json"
"""Name of the file in a merged run's folder that says how far its logits are off."""


@dataclass(frozen=True)
class Merged:
    """How a merge went.

    Attributes:
        run: The run with the adapters.
        parts: Type of the merged weights, by part.
        difference: Largest difference of two logits as a share of the largest logit: of the run
            against the written weights, read back; both computed in float32.
        tolerance: What was allowed.
    """

    run: str
    parts: dict[str, str]
    difference: float
    tolerance: float


def merge_run(run: str | Path, out: str | Path, *, tolerance: float | None = None) -> Merged:
    """Merge a run's adapters into their bases and write the result as a run of its own.

    A quantised base is unpacked first. The sum is made in float32 and stored in the type the part
    has in the run. Logits on a fixed sample are compared twice: before and after the sum, and with
    the weights read back from the file.

    Args:
        run: Folder of a finished run with adapters, or a checkpoint of one.
        out: Folder to write, which must not exist yet. Nothing is left there if logits differ.
        tolerance: Largest difference, as a share of the largest logit; None takes that of the
            type the weights are stored in (`mmlite.stages.merging.TOLERANCE`).

    Raises:
        ValueError: If the run has no adapters, the folder is taken, or logits differ.
    """
    out = Path(out)
    if out.exists():
        raise ValueError(f"--out: got {out}, which exists, allowed: a new folder; name another")
    stage = load_run(run)
    if not stage.adapters.forms:
        raise ValueError(f"run: got {run}, which has no adapters, allowed: a run with adapters")
    dtypes = {part: weights_dtype(stage.parts[part]) for part in stage.adapters.forms}
    allowed = {dtype: TOLERANCE[dtype] for dtype in [torch.float32, *dtypes.values()]}
    if tolerance is not None:
        allowed = dict.fromkeys(allowed, tolerance)
    compute_in_float32(stage.built)
    before = sample_logits(stage.built, stage.processor)
    for part in stage.adapters.forms:
        merge_adapter(stage.parts[part], torch.float32)
    exact = relative_difference(before, sample_logits(stage.built, stage.processor))
    check_same(exact, allowed[torch.float32], f"merge of {run}")
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(stage, dtypes, run_folder(run), partial)
        read_back = load_run(partial)
        compute_in_float32(read_back.built)
        found = relative_difference(before, sample_logits(read_back.built, read_back.processor))
        check_same(found, max(allowed.values()), f"merge of {run}")
        names = {part: str(dtype).removeprefix("torch.") for part, dtype in dtypes.items()}
        merged = Merged(str(run), names, found, max(allowed.values()))
        (partial / RECORD).write_text(json.dumps(asdict(merged), indent=2) + "\n")
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return merged


def _write(stage: Stage, dtypes: Mapping[str, torch.dtype], run: Path, folder: Path) -> None:
    weights = {}
    for part in stage.left_parts():
        for name, tensor in full_state(stage.parts[part]).items():
            kept = tensor.to(dtypes[part]) if part in dtypes else tensor
            weights[f"{part}.{name}"] = kept
    save_weights(weights, folder / WEIGHTS_FILE)
    config: dict[str, Any] = yaml.safe_load((run / CONFIG_FILE).read_text())
    arguments = config["model"]["init_args"]
    arguments["adapters"] = None
    given = arguments.get("init_from") or {}
    arguments["init_from"] = {p: path for p, path in given.items() if p not in stage.trainable}
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(config, sort_keys=False))
