"""The estimate as tables for a terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mmlite.plan.estimate import Estimate

UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")


def tables(estimate: Estimate) -> Group:
    """Return everything a reader needs before a run, most asked first."""
    return Group(_memory(estimate), _parts(estimate), _run(estimate), _notes(estimate))


def gib(size: float) -> str:
    """Return bytes as GiB, or as MiB where they are few."""
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:,.2f} MiB"


def short(number: float) -> str:
    """Return a number with three digits and a unit of thousands."""
    power = 0
    while abs(number) >= 999.5 and power < len(UNITS) - 1:
        number /= 1000
        power += 1
    return f"{number:.3g} {UNITS[power]}".rstrip()


def _memory(estimate: Estimate) -> Table:
    devices, total = estimate.devices, sum(estimate.memory.values())
    place = "device" if devices.number == 1 else f"device of {devices.number} ({devices.strategy})"
    table = _table(f"Memory of one {place}", "term", "at the fullest", "share", "at most")
    for term, size in sorted(estimate.memory.items(), key=lambda item: -item[1]):
        share = f"{size / max(total, 1):.0%}"
        table.add_row(term, gib(size), share, gib(estimate.most[term]))
    table.add_section()
    table.add_row("all", gib(total), "", "")
    if devices.memory is not None:
        verdict = "fits" if total <= devices.memory else "does not fit"
        table.add_row("a device has", gib(devices.memory), "", verdict)
    return table


def _parts(estimate: Estimate) -> Table:
    table = _table("Parameters", "part", "all", "learn", "type")
    for row in estimate.parts:
        table.add_row(row.part, f"{row.parameters:,}", f"{row.trainable:,}", row.dtypes)
    table.add_section()
    whole = sum(row.parameters for row in estimate.parts)
    table.add_row("all", f"{whole:,}", f"{sum(row.trainable for row in estimate.parts):,}", "")
    return table


def _run(estimate: Estimate) -> Table:
    run, devices = estimate.run, estimate.devices
    table = _table("The run", "what", "amount", "")
    accumulated = f"{run.accumulated} batches of a device each" if run.accumulated > 1 else ""
    table.add_row("optimizer steps", f"{run.steps:,}", accumulated)
    for name, number in estimate.totals.items():
        table.add_row(name.replace("_", " "), short(number), "")
    table.add_section()
    flops = sum(estimate.flops.values())
    for place, number in sorted(estimate.flops.items(), key=lambda item: -item[1]):
        table.add_row(f"FLOPs: {place}", short(number), f"{number / max(flops, 1):.0%}")
    table.add_row("FLOPs: all", short(flops), "")
    if estimate.recomputed:
        table.add_row("FLOPs again", short(estimate.recomputed), "gradient checkpointing")
    table.add_section()
    if estimate.seconds is None:
        table.add_row("hours", "unknown", "give --device-flops, what one device can do a second")
    else:
        peak = f"{devices.utilization:.0%} of {short(devices.flops or 0)}FLOP/s"
        table.add_row("hours", f"{estimate.seconds / 3600:,.2f}", f"at {peak} on {devices.number}")
    return table


def _notes(estimate: Estimate) -> Text:
    sample = estimate.sample
    origin = "Lengths from the data" if sample.origin == "data" else "Lengths are assumed"
    return Text(
        f"{origin}: {sample.note}; the largest decides the memory.\n"
        f"Most memory: {estimate.dominating}. It is lowered by {estimate.switch}."
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number and name != "type" and name else "left")
    return table
