"""Entry of the `mmlite` command: finds the command, and loads only what it needs.

Help is answered before anything heavy is imported; PyTorch is loaded by the commands that train.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from mmlite.cli.messages import place, readable
from mmlite.config.problem import ArgumentProblem
from mmlite.errors import Stopped
from mmlite.training.imports import ended_by_interrupt, imported_for_good
from mmlite.training.noise import show_log


class Command(NamedTuple):
    """One sub-command: the module whose `run(arguments)` does it, and its line in the table."""

    module: str
    summary: str
    help: str


_TRAINING_HELP = """\
usage: mmlite {name} -c FILE [-c FILE ...] [--key value ...]

{summary}

A run is composed from files; later ones win, lists are replaced, `callbacks+:` appends:
  -c, --config FILE          a file of experiments/: base first, then the run, then overlays
  --run FOLDER               where the run writes (required by the files in experiments/)
  {checkpoint}
  --seed_everything N        seed of everything that is drawn
  --trainer.max_steps N      any key of any file can be given as a flag
  --model.init_args.trainable '[projector]'
  --print_config             print the composed configuration and stop
  --model.help CLASS         arguments of a stage, such as mmlite.stages.ExtractionTuning
  --data.help CLASS          arguments of a data module, such as data_modules.QAData
  --model.init_args.language.help CLASS   arguments of a part; so for any key that names a class
  --help-all                 every key of the trainer, and those that name classes (loads PyTorch)

example:
  mmlite {name} -c experiments/base.yaml -c experiments/micro/language.yaml \\
      -c experiments/micro/sizes/a.yaml
"""

_CHECKPOINT = {
    "fit": """\
--ckpt_path FILE           go on with a killed run from its checkpoint
  --overwrite true           train over a finished run""",
    "validate": "--ckpt_path FILE           measure this checkpoint, not what the run left",
    "test": "--ckpt_path FILE           measure this checkpoint, not what the run left",
    "predict": "--ckpt_path FILE           answer with this checkpoint, not with what the run left",
}

_TRAINING = {
    "fit": "Train a stage.",
    "validate": "Measure a stage on its validation split.",
    "test": "Measure a stage on its test split.",
    "predict": "Answer the test split and write predictions.",
}

COMMANDS = {
    **{
        name: Command(
            "mmlite.training.command",
            summary,
            _TRAINING_HELP.format(name=name, summary=summary, checkpoint=_CHECKPOINT[name]),
        )
        for name, summary in _TRAINING.items()
    },
    "plan": Command(
        "mmlite.cli.plans",
        "Tell what a run needs before it runs: memory, tokens, FLOPs, hours.",
        """\
usage: mmlite plan -c FILE [-c FILE ...] [--key value ...] [options]

Tell a run's parameters, the memory of each device by term, its tokens and images, its FLOPs and
hours, and which switch lowers what needs the most memory. Takes the files and keys of `mmlite fit`.
No weights are loaded or downloaded and nothing is written; the model is run by its shapes alone.

  -c, --config FILE          as for `mmlite fit`: base first, then the run, then overlays
  --device-flops N           operations per second one device can do at best (default: those of an
                             H100 in bfloat16, 989.4e12; unknown where trainer.accelerator is cpu)
  --utilization F            share of them a run makes use of, from 0 to 1 (default: 0.4)
  --device-memory GIB        memory of one device, to be told whether the run fits
  --sample-batches N         batches of the run's data to look at (default: 8)
  --json                     write JSON instead of tables

where the data cannot be read, these are assumed of each example; beside its texts, a row holds what
the chat template writes around them and the tokens of its images:
  --assumed.examples N       examples of an epoch (default: unknown)
  --assumed.text_tokens N    tokens of its texts, its answer's included (default: 256)
  --assumed.supervised_tokens N   tokens of its answer and of what ends it (default: 128)
  --assumed.images N         its images (default: 1)
  --assumed.image_px N       their width and height (default: 384)

example:
  mmlite plan -c experiments/base.yaml -c experiments/micro/vision.yaml
""",
    ),
    "study": Command(
        "mmlite.cli.studies",
        "Run a chain or grid of runs, evaluate systems and write a report.",
        """\
usage: mmlite study FILE [--out FOLDER] [--seeds N [N ...]] [--workers N]

Run every run of a study, skip what is done with the same inputs, answer with every system, and
write results, plots and report.html. Killed at any point, the same command goes on.

  FILE                 a study, such as experiments/micro/study.yaml
  --out FOLDER         where everything is written (default: runs/<name of the study>)
  --seeds N [N ...]    seeds to run the whole study with (default: those of the file)
  --workers N          single-threaded processes that share the cores (default: of the file)
""",
    ),
    "synthesize": Command(
        "mmlite.cli.synthesis",
        "Make visual-extraction-tuning data from questions and answers.",
        """\
usage: mmlite synthesize FILE [--out FOLDER] [--limit N] [--key value ...]

Let teachers turn question-answer data into extraction-tuning data: what each question is about,
questions and answers as statements, and a description of the image that holds them. Writes
LLaVA-format records, a list of what was left out, a summary and a data card. Killed at any point,
the same command goes on.

  FILE                 source, teachers and checks, such as experiments/paper/synthesis.yaml
  --out FOLDER         where everything is written (default: runs/<name of the file>)
  --limit N            use the first N rows (default: of the file)
  --key value          any key of the file, such as --source.init_args.train FILE
""",
    ),
    "report": Command(
        "mmlite.cli.reports",
        "Make the report again from saved predictions alone.",
        """\
usage: mmlite report FOLDER

Read FOLDER/predictions/*.jsonl (and study.json and gallery.json, where they are), and write
results.csv, results.json, comparisons.json, plots/ and report.html. No model is needed.
""",
    ),
    "merge": Command(
        "mmlite.cli.merging",
        "Put a run's adapters into the weights they update, and check the logits.",
        """\
usage: mmlite merge RUN --out FOLDER [--tolerance X]

Write a run without adapters: W + alpha / rank * B A, a 4-bit W unpacked first. The weights are read
back and their logits compared with the run's; where they differ, nothing is left and it fails.

  RUN                  folder of a finished run with adapters
  --out FOLDER         what is written: config.yaml, weights.safetensors, merge.json; must not exist
  --tolerance X        largest difference of two logits as a share of the largest (default: 0.0001
                       for parts in float32, 0.01 in float16, 0.05 in bfloat16)
""",
    ),
    "world": Command(
        "mmlite.cli.worlds",
        "Look at the micro-world, or export it as LLaVA-format data.",
        """\
usage: mmlite world [--preview FILE.png] [--export FOLDER] [options]

  --preview FILE.png   a grid of pictures with questions and answers
  --export FOLDER      pictures and LLaVA-format JSON (caption, extraction, qa, multiple choice)
  --images N           pictures per split to export (default: 100), or in the preview (12)
  --questions N        questions per picture to export (default: 4)
  --seed N             decides everything (default: 0)
  --world FILE.yaml    difficulty dials: max_objects, noise, occlusion, digit_fraction, ...
""",
    ),
    "export": Command(
        "mmlite.cli.exports",
        "Write a run's model as a folder that transformers loads.",
        """\
usage: mmlite export RUN --out FOLDER [options]

Write the model of a run as LLaVA (fixed resolution) or LLaVA-OneVision (any resolution) of
transformers, with processor, chat template, generation configuration and model card. The folder
is loaded by plain transformers and compared with the run's model; if anything differs by more
than rounding, nothing is exported.

  RUN                    folder of a finished run
  --out FOLDER           a new or empty folder
  --dtype TYPE           round all weights: float32, bfloat16, float16 (default: as trained)
  --name TITLE           title of the model card (default: name of the run)
  --license NAME         of the weights, such as apache-2.0 (default: unknown)
  --data-license NAME    of the data (default: unknown)
  --language CODE        of the model's texts (default: en)
  --max-shard-size SIZE  largest file of weights (default: 5GB)
""",
    ),
    "completion": Command(
        "mmlite.cli.completion",
        "Print a completion script for bash, zsh or tcsh.",
        """\
usage: mmlite completion {bash,zsh,tcsh}

Print a script that completes commands and their options. Needs the extra `completion`:
  pip install 'mmlite[completion]'
  mmlite completion bash > ~/.local/share/bash-completion/completions/mmlite
""",
    ),
}


STOPPED = (
    "stopped by Ctrl-C; a study and a synthesis go on with the same command, a run with --ckpt_path"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `mmlite`; None takes it from the command line.

    Returns:
        The exit status: 0 done, 1 a run failed on bad input, 2 the command line was wrong, 130
        stopped by Ctrl-C, 143 by SIGTERM.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0
    if given[0] == "--version":
        from mmlite import __version__

        sys.stdout.write(f"mmlite {__version__}\n")
        return 0
    name, rest = given[0], given[1:]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return _fail(f"got command {name!r}, allowed: {', '.join(COMMANDS)}{hint}", status=2)
    if any(flag in rest for flag in ("-h", "--help")) or (not rest and name != "world"):
        sys.stdout.write(COMMANDS[name].help)
        return 0 if rest else 2
    if name == "world" and not rest:
        sys.stdout.write(COMMANDS[name].help)
        return 2
    return _run(name, rest)


def _run(name: str, rest: list[str]) -> int:
    show_log()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Lightning's use of jsonargparse, which no user can act on.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # class paths may name files where the command is given
    try:
        with ended_by_interrupt(f"mmlite: {STOPPED}"), imported_for_good():
            command = importlib.import_module(COMMANDS[name].module)
        command.run([name, *rest])
    except KeyboardInterrupt:
        return _fail(STOPPED, status=130)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit of its own.
        if isinstance(error.__context__, KeyboardInterrupt):
            return _fail(STOPPED, status=130)
        raise
    except Stopped as error:  # 128 and the signal's number, as shells count
        return _fail(str(error), status=143) if str(error) else 143
    except (ValueError, OSError, TypeError, ArgumentProblem) as error:
        if os.environ.get("MMLITE_DEBUG"):
            raise
        told = readable(error) + (place(error) if isinstance(error, TypeError) else "")
        return _fail(told, status=2 if isinstance(error, ArgumentProblem) else 1)
    return 0


def _fail(message: str, *, status: int) -> int:
    sys.stderr.write(f"mmlite: {message}\n")
    return status


def _overview() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mmlite COMMAND [options]",
            "",
            "Experiments on small vision-language models.",
            "",
            *lines,
            "",
            "mmlite COMMAND --help tells the options of a command. Set MMLITE_DEBUG=1 to see where",
            "an error came from.",
            "",
        ]
    )
