"""What `benchmarks.gpu` tells of each arm: a line of its table, and the same as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.training.gpu_arms import DECODING, TRANSFORMERS, Arm
from benchmarks.training.measured import Measured

HEADER = (
    "| model | stage | way | supervised tokens/s | tokens/s | utilisation | peak GB | padding "
    "| speed | loss | |\n"
    "|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|\n"
)


@dataclass(frozen=True)
class Line:
    """What is told of an arm; None: not known.

    Attributes:
        size: Of the language model.
        stage: What was measured.
        way: How.
        note: What else there is to say: why nothing was measured, or what differs.
        supervised_per_second: Supervised tokens, or those written.
        tokens_per_second: Tokens, padding left out.
        flops_per_second: Model FLOPs.
        utilisation: Share of the device's peak rate.
        peak_gb: Most memory.
        padding: Share of padding.
        speed: How many times as many tokens per second as transformers; written ones of decoding.
            Of all tokens, for how many of a few steps' are supervised depends on which rows came.
        loss: Mean of the first step; that of another way differs by its rows alone.
        steps: That count.
        seconds: They took, all together; rates are by the median step.
        step_seconds: How long each of them took.
        kernels: Of one step more, where that was asked for.
    """

    size: str
    stage: str
    way: str
    note: str = ""
    supervised_per_second: float | None = None
    tokens_per_second: float | None = None
    flops_per_second: float | None = None
    utilisation: float | None = None
    peak_gb: float | None = None
    padding: float | None = None
    speed: float | None = None
    loss: float | None = None
    steps: int = 0
    seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)
    kernels: dict[str, Any] | None = None


def failed_line(arm: Arm, note: str) -> Line:
    """Return the line of an arm that was not measured."""
    return Line(arm.size, arm.stage, arm.way, note)


def measured_line(arm: Arm, measured: Measured, *, note: str, peak: float | None) -> Line:
    """Return the line of an arm.

    Args:
        arm: The arm.
        measured: What it did.
        note: What else there is to say.
        peak: The device's peak rate in FLOP/s, if it is known.
    """
    took = measured.usual_seconds
    flops = measured.rate(measured.flops, seconds=took)
    return Line(
        size=arm.size,
        stage=arm.stage,
        way=arm.way,
        note=note,
        supervised_per_second=measured.rate(measured.supervised, seconds=took),
        tokens_per_second=measured.rate(measured.tokens, seconds=took),
        flops_per_second=flops,
        utilisation=None if peak is None else flops / peak,
        peak_gb=measured.peak_mb / 1000,
        padding=1 - sum(measured.tokens) / sum(measured.padded),
        loss=measured.losses[0] if measured.losses else None,
        steps=len(measured.ends) - measured.warmup,
        seconds=measured.seconds,
        step_seconds=measured.step_seconds,
        kernels=measured.kernels,
    )


def compared(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with their speeds: ratios to transformers, same model and stage."""
    usual = next(iter(TRANSFORMERS))
    base = {(one.size, one.stage): _rate(one) for one in lines if one.way == usual}
    made = []
    for one in lines:
        ours, theirs = _rate(one), base.get((one.size, one.stage))
        made.append(replace(one, speed=ours / theirs) if ours and theirs else one)
    return made


def _rate(line: Line) -> float | None:
    return line.supervised_per_second if line.stage == DECODING else line.tokens_per_second


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a Markdown table."""
    return HEADER + "".join(_row(one) for one in compared(lines))


def _row(one: Line) -> str:
    cells = [
        one.size,
        one.stage,
        one.way,
        _cell(one.supervised_per_second, ",.0f"),
        _cell(one.tokens_per_second, ",.0f"),
        _cell(one.utilisation, ".1%"),
        _cell(one.peak_gb, ".1f"),
        _cell(one.padding, ".0%"),
        _cell(one.speed, ".2f", " x"),
        _cell(one.loss, ".2f"),
        one.note,
    ]
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|\n"


def _cell(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
