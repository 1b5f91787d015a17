"""`mmlite plan`: what a run needs, told before it runs."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser
from rich.console import Console

from mmlite.config.explain import Known, explain
from mmlite.config.problem import ArgumentProblem
from mmlite.plan import (
    Assumption,
    Estimate,
    Sample,
    Simulation,
    assumed_sample,
    build_weightless,
    devices_of,
    estimate,
    is_flex,
    length_of,
    read_sample,
    tables,
    trace_step,
)
from mmlite.stages import Stage
from mmlite.training.command import MMLiteCLI
from mmlite.training.noise import quieten

_log = logging.getLogger(__name__)

GIB = 2**30


class PlanCLI(MMLiteCLI):
    """The parser of the training commands with what a plan needs to know; nothing is run.

    Only processor, stage and data are built, so that a run for a GPU is planned without one.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.no_data = ""
        super().__init__(arguments, run=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what is known of the devices, and what is assumed of data that cannot be read."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--ckpt_path", type=str | None, help="Changes no plan.")
        parser.add_argument("--device-flops", type=float | None)
        parser.add_argument("--device-memory", type=float | None)
        parser.add_argument("--utilization", type=float, default=0.4)
        parser.add_argument("--sample-batches", type=int, default=8)
        parser.add_argument("--json", action="store_true")
        parser.add_class_arguments(Assumption, "assumed")

    def before_instantiate_classes(self) -> None:
        """Check what a plan is told; nothing is written."""
        config = self.config
        problems = [
            f"--{name}: got {config[name.replace('-', '_')]}, allowed: {allowed}"
            for name, allowed, is_right in (
                ("utilization", "above 0, at most 1", 0 < config["utilization"] <= 1),
                ("sample-batches", "1 or more", config["sample_batches"] >= 1),
                ("device-flops", "above 0", _is_above_0(config["device_flops"])),
                ("device-memory", "above 0, in GiB", _is_above_0(config["device_memory"])),
            )
            if not is_right
        ]
        if problems:
            raise ArgumentProblem("; ".join(problems))

    def instantiate_classes(self) -> None:
        """Build processor, stage and, where its files are there, the data.

        Raises:
            ArgumentProblem: If a class refuses a value.
        """
        try:
            made = self._made("trainer")
        except ValueError as error:
            self.no_data = explain(str(error), Known())
            try:
                made = self._made("trainer", "data")  # in case it was the data
            except ValueError as other:
                raise ArgumentProblem(explain(str(other), Known())) from other
        self.stage: Stage = made["model"]
        self.data: LightningDataModule | None = made.get("data")
        self.assumption: Assumption = made["assumed"]

    def _made(self, *left_out: str) -> Any:
        config = self.config.clone()
        for key in left_out:
            config.pop(key)
        return self.parser.instantiate_classes(config)


class _Unparsed(Exception):
    """Carries the parser before anything is parsed."""

    def __init__(self, parser: LightningArgumentParser) -> None:
        super().__init__("not parsed")
        self.parser = parser


class _UnparsedCLI(PlanCLI):
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        raise _Unparsed(parser)


def parser() -> LightningArgumentParser:
    """Return the parser of the command's options."""
    try:
        _UnparsedCLI([])
    except _Unparsed as found:
        return found.parser
    raise AssertionError("it parses nothing")


def _is_above_0(value: float | None) -> bool:
    return value is None or value > 0


def plan(arguments: Sequence[str]) -> Estimate:
    """Estimate what a run needs.

    Args:
        arguments: Options, as a training command takes them, and those of a plan.

    Raises:
        ArgumentProblem: If the options or a file are wrong.
        ValueError: If a part refuses its arguments, or the run has no end.
    """
    cli = PlanCLI(arguments)
    config, stage, settings = cli.config, cli.stage, cli.config["trainer"]
    memory = config["device_memory"]
    devices = devices_of(
        settings,
        flops=config["device_flops"],
        utilization=config["utilization"],
        memory=None if memory is None else memory * GIB,
    )
    simulation, precision = Simulation(), _precision(settings.get("precision"))
    build_weightless(stage, simulation, precision=precision)
    if settings.get("accelerator") == "cpu" and is_flex(stage.parts.get("language")):
        raise ArgumentProblem(
            "language.attention: got flex_attention with trainer.accelerator cpu, where it makes "
            "no gradients, allowed: sdpa or eager; or trainer.accelerator gpu"
        )
    sample = _sample(cli)
    run = length_of(settings, sample, processes=devices.number)
    trace = trace_step(
        stage, simulation, sample.largest, precision=precision, accumulated=run.accumulated
    )
    return estimate(stage, trace, sample, run, devices)


def _sample(cli: PlanCLI) -> Sample:
    processor, reason = cli.stage.processor, cli.no_data
    if cli.data is not None:
        try:
            return read_sample(cli.data, processor, num_batches=cli.config["sample_batches"])
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
    budget = cli.config["data"].get("init_args", {}).get("budget") or {}
    return assumed_sample(processor, cli.assumption, budget, reason=reason)


def _precision(given: Any) -> str:
    """Return the full name of a precision that the trainer also takes shortened."""
    text = str(given or "32-true")
    return {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}.get(
        text, text
    )


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Args:
        arguments: `plan` and its options.

    Raises:
        ArgumentProblem: If the options or a file are wrong.
        ValueError: If a part refuses its arguments, or the run has no end.
    """
    quieten()
    given = list(arguments[1:])
    found = plan(given)
    if "--json" in given:
        sys.stdout.write(json.dumps(found.to_json(), indent=2) + "\n")
    else:
        Console(file=sys.stdout).print(tables(found))
