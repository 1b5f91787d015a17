"""NLVR's official measures, and its file format for predictions.

Restated from the corpus's `metrics_images.py` (github.com/lil-lab/nlvr, commit 56f4bc8758d75fba):
one prediction for each picture; precision is the share of pictures whose prediction equals the
label, called accuracy here; consistency is the share of original presentations (the n of an
identifier n-m, which stands for one sentence) all of whose pictures are right.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmlite.nlvr.scene import ORDERS
from mmlite.records import Prediction

WORDS: Mapping[str | None, str] = {"yes": "true", "no": "false", None: "unreadable"}
"""What the file says for an answer; the official scorer takes any third word for wrong."""

_NAME = re.compile(r"(?P<split>[^-]+)-(?P<identifier>\d+-\d+)-(?P<order>\d)(?:\.png)?")


@dataclass(frozen=True, slots=True)
class OfficialScore:
    """The official measures, fractions in [0, 1]."""

    accuracy: float
    consistency: float
    num_pictures: int
    num_sentences: int


def answers_of(predictions: list[Prediction]) -> dict[str, str]:
    """Return what the official file says of each picture: `true`, `false` or `unreadable`."""
    return {prediction.id: WORDS[prediction.parsed] for prediction in predictions}


def write_official(path: Path, answers: Mapping[str, str]) -> None:
    """Write the official file: `test-3776-0-4.png,true`, one line for each picture.

    Args:
        path: Of the file, which appears whole or not at all.
        answers: By the name of the picture without `.png`, as the source's ids are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(f"{name}.png,{answer}\n" for name, answer in sorted(answers.items())))
    os.replace(part, path)


def read_official(path: Path) -> dict[str, str]:
    """Read an official file.

    Raises:
        ValueError: If a line is not a picture's name and a word; it names file and line.
    """
    answers = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        name, comma, answer = line.strip().partition(",")
        if not comma or not _NAME.fullmatch(name):
            raise ValueError(
                f"{path} line {number}: got {line!r}, allowed: a picture and true or false, such "
                "as test-3776-0-4.png,true"
            )
        answers[name.removesuffix(".png")] = answer
    return answers


def score(answers: Mapping[str, str], labels: Mapping[str, str]) -> OfficialScore:
    """Score predictions against the labels of a whole split.

    Args:
        answers: By the name of the picture, in any case.
        labels: `true` or `false` by the example's identifier, n-m.

    Raises:
        ValueError: If predictions are missing, or there are some for other pictures.
    """
    given = {picture_of(name): answer.strip().lower() for name, answer in answers.items()}
    wanted = {(identifier, order) for identifier in labels for order in range(len(ORDERS))}
    if given.keys() != wanted or not wanted:
        missing = ["-".join(map(str, key)) for key in sorted(wanted - given.keys())]
        more = ["-".join(map(str, key)) for key in sorted(given.keys() - wanted)]
        raise ValueError(
            f"predictions: got {len(given)} with {len(missing)} missing ({', '.join(missing[:3])}) "
            f"and {len(more)} of no labelled example ({', '.join(more[:3])}), allowed: one for "
            f"each of the {len(wanted)} pictures of the split"
        )
    right = {key: answer == labels[key[0]].lower() for key, answer in given.items()}
    sentences: dict[str, bool] = {}
    for (identifier, _), is_right in right.items():
        sentence = identifier.partition("-")[0]
        sentences[sentence] = sentences.get(sentence, True) and is_right
    return OfficialScore(
        accuracy=sum(right.values()) / len(right),
        consistency=sum(sentences.values()) / len(sentences),
        num_pictures=len(right),
        num_sentences=len(sentences),
    )


def picture_of(name: str) -> tuple[str, int]:
    """Return identifier and permutation of a picture's name, such as `test-3776-0-4`.

    Raises:
        ValueError: If it is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"picture: got {name!r}, allowed: a name such as test-3776-0-4")
    return match["identifier"], int(match["order"])
