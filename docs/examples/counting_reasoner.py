"""Of docs/ablations.md: a reasoner that counts, asked about what perfect perception writes."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from data_modules.sources import MicroWorld
from mmlite.predictions import write_predictions
from mmlite.records import Example
from mmlite.systems import OraclePerceiver, Reasoner, TwoStage


class CountingReasoner(Reasoner):
    """Answers how many shapes have a color, by counting its word in the description."""

    name = "counting"

    def reason(self, examples: Sequence[Example], descriptions: Sequence[str]) -> list[str]:
        """Count the last word of each question."""
        words = [re.findall(r"\w+", example.question)[-1] for example in examples]
        return [
            str(text.split().count(f"{word}."))
            for word, text in zip(words, descriptions, strict=True)
        ]


def answer(folder: Path) -> None:
    """Answer the counting questions of the micro-world's test split, for `mmlite report FOLDER`."""
    rows = MicroWorld(held_out_per_kind=20).rows("test")
    asked = [example for row in rows for example in row if example.category == "count"]
    system = TwoStage(OraclePerceiver("question"), CountingReasoner())
    write_predictions(folder / "predictions" / f"{system.name}.jsonl", system.answer(asked))


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
