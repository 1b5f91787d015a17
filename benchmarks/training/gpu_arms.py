"""The arms of `benchmarks.gpu`: which there are, what each is set up with, and running one."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.training.arms import quiet
from benchmarks.training.decoding import decode_mmlite, decode_transformers
from benchmarks.training.measured import Machine, Setup
from benchmarks.training.mix import KINDS, write_mix
from benchmarks.training.ours import Switches, train_mmlite
from benchmarks.training.parts import save_llava
from benchmarks.training.shapes import QWEN3_SIZES, TINY, Shape
from benchmarks.training.tunings import TUNINGS

TRANSFORMERS = {"transformers": False, "transformers bfloat16": True}
"""Ways with transformers' own classes, and whether all is in bfloat16 there."""

USUAL = Switches(chunked=True)

MMLITE = {
    "mmlite": USUAL,
    "mmlite fused": replace(USUAL, norms=True, rotary=True),
    "mmlite compiled": replace(USUAL, compiled=True, dynamic=True),
    "mmlite compiled bfloat16": replace(USUAL, compiled=True, dynamic=True, pure=True),
    "mmlite packed": replace(USUAL, packed=True),
    "mmlite packed compiled": replace(USUAL, packed=True, compiled=True),
    "mmlite packed bfloat16": replace(USUAL, packed=True, pure=True),
    "mmlite packed compiled bfloat16": replace(USUAL, packed=True, compiled=True, pure=True),
}
"""mmlite's ways. Without a word, batches are cut by length, weights and the optimizer's states are
float32, and bfloat16 is computed in, as in `experiments/overlays/one_gpu.yaml`."""

WAYS = (*TRANSFORMERS, *MMLITE)
DECODING = "decoding"
STAGES = ("full", "alignment", "extraction", DECODING)

DEVICE_FILE = "device.json"
TRIAL_SIZE = "trial"
SIZES = {**QWEN3_SIZES, TRIAL_SIZE: TINY}


@dataclass(frozen=True)
class Arm:
    """One line of the table.

    Attributes:
        size: Of the language model.
        stage: What is measured.
        way: How.
    """

    size: str
    stage: str
    way: str

    def __str__(self) -> str:
        return f"{self.size} {self.stage}, {self.way}"


@dataclass(frozen=True)
class Limits:
    """How much there is of what.

    Attributes:
        batch_tokens: Of a batch.
        lean_tokens: Of a batch of `LEAN`, where it has others.
        pack_tokens: Of a row that several examples share; None: those of a batch.
        steps: Optimizer steps that count, at most.
        rows: Of each stage's data.
        questions: That are decoded.
        new_tokens: Longest text that is decoded.
        picture_px: Width and height of the images.
        memory: Bytes of the GPU, where they are known.
    """

    batch_tokens: int
    pack_tokens: int | None = None
    lean_tokens: int | None = None
    steps: int = 400
    rows: int = 2048
    questions: int = 128
    new_tokens: int = 64
    picture_px: tuple[int, int] = (640, 480)
    memory: float | None = None


TRIAL_LIMITS = Limits(192, 96, steps=2, rows=48, questions=6, new_tokens=8, picture_px=(64, 48))

LARGE_MEMORY = 100e9
"""Bytes; a GPU that has more is given twice the tokens."""

LARGE_BATCH = 16384
"""Tokens of a batch there."""

LEAN = "mmlite packed compiled bfloat16"
"""Keeps so little of a token that full tuning takes batches of twice as many there: of 32,768 that
of 0.6B took 78 GB, and that of 1.7B 110."""

ACCUMULATE = 1
LOSS_CHUNK_TOKENS = 2048
LEAN_LOSS_CHUNK_TOKENS = 8192
"""Of a compiled loss, which needs 4 bytes a logit where the other one needs 8."""

COMPILED_WARMUP = 12
"""How many times as long arms warm up that are compiled: their steps are short, and attention of
each new number of tiles has them wait for a fifth of a second, until all have come."""

COMPILED_COUNT = 2
"""How many times as long their steps count."""


def build_arms(
    sizes: Sequence[str], stages: Sequence[str], ways: Sequence[str] | None
) -> list[Arm]:
    """Return the arms, in the order in which they run.

    Args:
        sizes: Of the language model.
        stages: What is measured.
        ways: Of every stage; None: the usual ones.
    """
    return [
        Arm(size, stage, way)
        for size in sizes
        for stage in stages
        for way in (ways or usual_ways(stage, is_trial=size == TRIAL_SIZE))
        if stage != DECODING or way in ("transformers", "mmlite")
    ]


def usual_ways(stage: str, *, is_trial: bool) -> tuple[str, ...]:
    """Return the ways a stage is measured in: full tuning also as fast as it can be."""
    if stage != "full":
        return ("transformers", "mmlite")
    if is_trial:  # compiling takes longer than all the rest
        return ("transformers", "mmlite", "mmlite packed", "mmlite packed bfloat16")
    return ("transformers", "mmlite", "mmlite packed compiled bfloat16")


def gpu_limits(memory: int, batch_tokens: int | None, pack_tokens: int | None) -> Limits:
    """Return the limits of a GPU.

    Args:
        memory: Its bytes.
        batch_tokens: Of a batch, if given.
        pack_tokens: Of a packed row, if given.
    """
    is_large = memory > LARGE_MEMORY
    usual = LARGE_BATCH if is_large else LARGE_BATCH // 2
    lean = 2 * LARGE_BATCH if is_large and batch_tokens is None else None
    return Limits(batch_tokens or usual, pack_tokens, lean, memory=memory)


def mean_tokens(shape: Shape, stage: str) -> int:
    """Return about how many tokens a row of a stage has."""
    kinds = TUNINGS[tuning_of(stage)].kinds.values()
    rows = sum(kind.thousands for kind in kinds)
    total = 0.0
    for kind in kinds:
        turn = (sum(kind.question) + sum(kind.answer)) / 2
        text = min(turn * sum(kind.turns) / 2, shape.max_text_tokens)
        total += kind.thousands * (text + kind.has_image * shape.image_tokens)
    return round(total / rows)


def tuning_of(stage: str) -> str:
    """Return the tuning whose model and rows a stage has: decoding has those of full tuning."""
    return "full" if stage == DECODING else stage


@dataclass(frozen=True)
class Attempt:
    """How an arm is tried.

    Attributes:
        share: Of its tokens a batch gets one in so many; as many more make an optimizer step.
        checkpointing: Whether activations are computed again for the backward pass.
    """

    share: int = 1
    checkpointing: bool = False

    def __str__(self) -> str:
        batches = [] if self.share == 1 else [f"batches of 1/{self.share}"]
        return ", ".join(batches + ["activations computed again"] * self.checkpointing)


ATTEMPTS = (Attempt(), Attempt(share=2), Attempt(share=2, checkpointing=True))
"""What is tried, one after the other, as long as memory does not suffice."""


NEEDED = {
    ("0.6B", "full", "transformers"): (16, 6.8),
    ("0.6B", "full", "mmlite"): (16, 3.2),
    ("0.6B", "full", LEAN): (8, 2.1),
    ("0.6B", "extraction", "transformers"): (3, 8.6),
    ("0.6B", "extraction", "mmlite"): (3, 3.0),
    ("1.7B", "full", "transformers"): (34, 8.9),
    ("1.7B", "full", "mmlite"): (34, 5.4),
    ("1.7B", "full", LEAN): (17, 2.8),
    ("1.7B", "extraction", "transformers"): (4, 12.1),
    ("1.7B", "extraction", "mmlite"): (4, 5.0),
}
"""GB of tensors: of weights, gradients and states, reckoned by their bytes, and of each 1,000
tokens of a batch, by what else one batch of each took on an H200."""

USABLE = 0.8
"""Share of a GPU's memory that tensors are reckoned to fit into. With 102 of 150 GB, and as much as
128 with what lay between them, full tuning of 0.6B with transformers found no piece of 13."""


def attempts_of(arm: Arm, limits: Limits) -> tuple[Attempt, ...]:
    """Return what is tried of an arm, but for what its GPU is reckoned not to hold."""
    if arm.stage == DECODING:
        return ATTEMPTS[:1]
    needed = NEEDED.get((arm.size, arm.stage, arm.way))
    if needed is None or limits.memory is None:
        return ATTEMPTS
    fixed, grows = needed
    room = USABLE * limits.memory / 1e9 - fixed
    fits = grows * tokens_of(arm, limits) / 1000 <= room
    return ATTEMPTS if fits else ATTEMPTS[1:]


def tokens_of(arm: Arm, limits: Limits) -> int:
    """Return how many tokens a whole batch of an arm has."""
    is_lean = (arm.stage, arm.way) == ("full", LEAN)
    return limits.lean_tokens if is_lean and limits.lean_tokens else limits.batch_tokens


def setup_of(arm: Arm, limits: Limits, machine: Machine, attempt: Attempt = ATTEMPTS[0]) -> Setup:
    """Return what an arm is set up with."""
    shape, tokens = SIZES[arm.size], tokens_of(arm, limits) // attempt.share
    chunk = LEAN_LOSS_CHUNK_TOKENS if arm.way == LEAN else LOSS_CHUNK_TOKENS
    if arm.way in MMLITE and MMLITE[arm.way].compiled:
        machine = replace(
            machine,
            warmup_seconds=COMPILED_WARMUP * machine.warmup_seconds,
            seconds=None if machine.seconds is None else COMPILED_COUNT * machine.seconds,
        )
    return Setup(
        shape=shape,
        steps=machine.warmup + limits.steps + machine.profile,
        batch_size=max(1, round(tokens / mean_tokens(shape, arm.stage))),
        accumulate=ACCUMULATE * attempt.share,
        loss_chunk_tokens=chunk if arm.size != TRIAL_SIZE else 16,
        tuning=tuning_of(arm.stage),
        batch_tokens=tokens,
        pack_tokens=min(limits.pack_tokens or tokens, tokens),
        checkpointing=attempt.checkpointing,
        rows=f"rows/{arm.stage}",
        weights=f"weights/{arm.size}",
        machine=machine,
    )


def write_rows(folder: Path, stage: str, shape: Shape, limits: Limits) -> None:
    """Write the rows of a stage, for all sizes alike."""
    write_mix(
        folder / "rows" / stage,
        rows=limits.rows,
        vocabulary=shape.vocabulary,
        max_text_tokens=shape.max_text_tokens,
        kinds=TUNINGS[tuning_of(stage)].kinds if stage != DECODING else KINDS,
        picture_px=limits.picture_px,
    )


def write_weights(folder: Path, size: str, device: str) -> None:
    """Draw the weights of a size; called in a process of its own."""
    quiet()
    written = folder / "unfinished" / size
    save_llava(written, SIZES[size], device)
    (folder / "weights").mkdir(exist_ok=True)
    written.rename(folder / "weights" / size)


def run_arm(arm: Arm, setup: Setup, limits: Limits, folder: Path, out: Path) -> None:
    """Run one arm and write what was measured; called in a process of its own."""
    quiet()
    # Shared: the encoder's blocks are those of every size. Files are written whole or not at all.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
    if setup.machine.device == "cpu":
        torch.set_num_threads(1)
    if arm.stage == DECODING:
        decode = decode_transformers if arm.way in TRANSFORMERS else decode_mmlite
        measured = decode(folder, setup, limits.questions, limits.new_tokens)
    elif arm.way in TRANSFORMERS:
        # Not loaded before: with the Trainer comes bitsandbytes, which begins to use CUDA.
        from benchmarks.training.theirs import train_transformers

        measured = train_transformers(folder, setup, out, pure=TRANSFORMERS[arm.way])
    else:
        measured = train_mmlite(folder, setup, out, MMLITE[arm.way])
    measured.write(out)


def tell_device(out: Path) -> None:
    """Write what the GPU is; called in a process of its own, where it fails if there is none."""
    torch.zeros(1, device="cuda")
    found = torch.cuda.get_device_properties(0)
    told = {"name": found.name, "memory": found.total_memory, "cuda": torch.version.cuda}
    (out / DEVICE_FILE).write_text(json.dumps(told))
