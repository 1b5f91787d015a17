"""Measure training and decoding on one GPU within minutes, with random weights of the true shapes.

Qwen3-0.6B and 1.7B that see through SigLIP so400m, in the stages of arXiv:2511.17487: full tuning
(all parts learn), alignment (the projector learns), extraction tuning with QLoRA (the projector and
low-rank updates of a language model in 4 bits learn), and decoding of extractions. Each by mmlite
and by transformers' own classes (padded batches in order of arrival, logits of every token), over
rows with the length spread of LLaVA-1.5's 665K mix. Nothing is downloaded.

    utilisation = model FLOPs per second / peak dense bfloat16 FLOP/s of the device

    model FLOPs = encoder + projector + language model + head         (benchmarks/flops.py)
      encoder     per tile of n patches: L (2 n (4 w^2 + 2 w m) + 4 n^2 w) + 2 n (3 p^2) w
      projector   per patch: 2 (w d + d^2)
      language    per sequence of n tokens: L (2 n (2 d q + 2 d k + 3 d m) + 2 n (n + 1) q)
      head        per supervised token: 2 d V

each once for the forward pass, once more where gradients flow through, once more where weights
learn (low-rank updates in the stead of the weights they update). Head rows count that have to be
computed: supervised tokens, also for transformers, which computes the head of every token; of
decoding, written tokens, and each image once, though several questions ask about it. What is
computed again, padding, and an encoder's block behind the features count for nothing. Peak rates:
benchmarks/training/peaks.py, or --peak-tflops; of other devices utilisation stays blank.

Supervised tokens/s and tokens/s leave padding out; of decoding, written tokens, and those with
their prompts. Memory is `torch.cuda.max_memory_allocated` from the first step on (on a CPU, the
process's). Each arm has a process of its own; its first steps and seconds do not count, and the
median of the others tells how many tokens a second they do. One that runs out of memory is tried
again with half the batch, then with activations computed again too; one that fails is a line of the
table. When the minutes are over, the arms that are left are lines that say so.

The way `mmlite` cuts batches by length and computes in bfloat16 with float32 weights and states, as
`experiments/overlays/one_gpu.yaml` does, with the loss in chunks and a fused optimizer; so does
`transformers`, without chunks. `fused` (norms and rotary positions), `compiled`, `packed` (several
examples to a row, --attention) and `bfloat16` (float32 nowhere: faster, but small updates are lost)
are added by name.

    python benchmarks/gpu.py --out gpu.json              # everything
    python benchmarks/gpu.py --sizes 0.6B --stages full --ways mmlite "mmlite packed compiled"
    python benchmarks/gpu.py --trial                     # does it run? tiny models, on the CPU
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.training.gpu_arms import (
    SIZES,
    STAGES,
    TRIAL_LIMITS,
    TRIAL_SIZE,
    WAYS,
    build_arms,
    gpu_limits,
)
from benchmarks.training.gpu_program import Program, find_device
from benchmarks.training.lines import Line, compared, table
from benchmarks.training.measured import Machine
from benchmarks.training.peaks import peak_flops
from mmlite.models.language import ATTENTIONS

WARMUP_STEPS = 3
"""Steps that do not count, at least, however long they take."""

PACKAGES = ("torch", "transformers", "lightning", "timm", "peft", "bitsandbytes", "accelerate")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what is measured."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [size for size in SIZES if size != TRIAL_SIZE]
    parser.add_argument("--trial", action="store_true", help="tiny models, on the CPU")
    parser.add_argument("--sizes", nargs="+", choices=names, default=names)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="of every stage")
    parser.add_argument("--minutes", type=float, default=8.0, help="of the whole program")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.5,
        help="of an arm, that count; twice as many of a compiled one",
    )
    parser.add_argument(
        "--warmup", type=float, default=1.5, help="seconds before them; 12 times as many of those"
    )
    parser.add_argument("--batch-tokens", type=int, help="of a batch; usual: by the GPU's memory")
    parser.add_argument("--pack-tokens", type=int, help="of a packed row; usual: those of a batch")
    parser.add_argument(
        "--attention", choices=ATTENTIONS, default="flex_attention", help="of packed rows"
    )
    parser.add_argument("--workers", type=int, default=8, help="processes that load images")
    parser.add_argument("--peak-tflops", type=float, help="of a GPU that is not known here")
    parser.add_argument(
        "--profile",
        nargs="+",
        choices=STAGES[:-1],
        default=[],
        help="stages of which one step more is told kernel by kernel, in the JSON file",
    )
    parser.add_argument("--out", type=Path, help="JSON file with all that was measured")
    return parser.parse_args(words)


def record(
    words: Sequence[str], device: dict[str, Any], lines: Sequence[Line], given: argparse.Namespace
) -> dict[str, Any]:
    """Return all that was measured, and on what."""
    return {
        "command": " ".join(["python benchmarks/gpu.py", *words]),
        "date": time.strftime("%Y-%m-%d"),
        "device": device,
        "versions": versions(),
        "settings": {key: value for key, value in vars(given).items() if key != "out"},
        "lines": [asdict(line) for line in compared(lines)],
    }


def set_up(given: argparse.Namespace, folder: Path) -> tuple[Program, dict[str, Any]]:
    """Return the program for the command line, and what the device is."""
    # The time it took to load the libraries counts too.
    deadline = time.monotonic() - time.process_time() + 60 * given.minutes
    if given.trial:
        importlib.import_module("benchmarks.training.theirs")  # once: there is no CUDA to begin
        device: dict[str, Any] = {"name": "CPU"}
        limits, method = TRIAL_LIMITS, "fork"
        machine = Machine(precision="bf16-mixed", workers=1)
    else:
        device, method = find_device(folder / "device")
        limits = gpu_limits(device["memory"], given.batch_tokens, given.pack_tokens)
        machine = Machine(
            device="cuda",
            precision="bf16-mixed",
            workers=given.workers,
            attention=given.attention,
            warmup=WARMUP_STEPS,
            warmup_seconds=given.warmup,
            seconds=given.seconds,
        )
    peak = peak_flops(device["name"], given.peak_tflops)
    program = Program(
        folder,
        limits,
        machine,
        peak=peak,
        deadline=deadline,
        method=method,
        profiled=given.profile,
    )
    return program, device


def main(words: Sequence[str]) -> None:
    """Measure, write the table, and the same as JSON after each arm."""
    given = parse(words)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # processes are forked
    # One GPU: with several, the Trainer would spread its batches over them.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]
    with tempfile.TemporaryDirectory() as name:
        try:
            program, device = set_up(given, Path(name))
        except ValueError as error:
            sys.exit(f"gpu.py: {error}")
        sizes = [TRIAL_SIZE] if given.trial else given.sizes
        lines: list[Line] = []
        for arm in build_arms(sizes, given.stages, given.ways):
            lines.append(program.run(arm))
            if given.out is not None:
                told = record(words, device, lines, given)
                given.out.write_text(json.dumps(told, indent=2) + "\n")
    told = ", ".join(f"{name} {number}" for name, number in versions().items())
    sys.stdout.write(f"{device['name']}, {time.strftime('%Y-%m-%d')}, {told}\n\n{table(lines)}")


if __name__ == "__main__":
    main(sys.argv[1:])
