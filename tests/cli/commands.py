"""The command lines the tests of errors begin from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"
BASE = str(EXPERIMENTS / "base.yaml")
RUN = [
    *("fit", "-c", BASE, "-c", str(EXPERIMENTS / "micro" / "extraction.yaml")),
    *("-c", str(EXPERIMENTS / "micro" / "sizes" / "a.yaml")),
]
LANGUAGE = [
    *("fit", "-c", BASE, "-c", str(EXPERIMENTS / "micro" / "language.yaml")),
    *("-c", str(EXPERIMENTS / "micro" / "sizes" / "a.yaml"), "--trainer.max_steps", "1"),
    *("--trainer.enable_checkpointing", "false", "--trainer.limit_val_batches", "0"),
]


def yaml_file(folder: Path, text: str) -> list[str]:
    path = folder / "given.yaml"
    path.write_text(text)
    return ["-c", str(path)]
