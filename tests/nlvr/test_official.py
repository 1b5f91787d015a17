"""The official file and measures, recounted here from the file's lines and the corpus's records."""

import json
import random
from pathlib import Path

import pytest
from made_nlvr import made_records, write_corpus

from data_modules.sources import NLVR
from mmlite.nlvr import answers_of, read_official, score, write_official
from mmlite.records import Example, Prediction


def predict(example: Example, parsed: str | None) -> Prediction:
    gold = {"true": "yes", "false": "no"}[example.answers[0]]
    return Prediction(
        id=example.id,
        seed=0,
        system="end_to_end",
        perceiver="end_to_end",
        perceiver_size="d",
        reasoner="end_to_end",
        reasoner_size="d",
        category=example.category,
        group=example.group,
        question=example.question,
        gold=(gold,),
        output=parsed or "",
        parsed=parsed,
        correct=parsed == gold,
        scene=example.scene,
        cluster=example.cluster,
    )


def recount(csv: Path, records: Path) -> tuple[float, float]:
    """Precision and consistency by the official rule, from the two files alone."""
    given = {}
    for line in csv.read_text().splitlines():
        picture, answer = line.split(",")
        given[picture.split(".")[0].split("-", 1)[1]] = answer.lower()
    right, whole = 0, {}
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    for row in rows:
        hits = [given[f"{row['identifier']}-{k}"] == row["label"].lower() for k in range(6)]
        right += sum(hits)
        presentation = row["identifier"].split("-")[0]
        whole[presentation] = whole.get(presentation, True) and all(hits)
    return right / (6 * len(rows)), sum(whole.values()) / len(whole)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> NLVR:
    folder = tmp_path_factory.mktemp("corpus")
    return NLVR(str(write_corpus(folder, "dev", made_records(9))), train=None, test="dev")


@pytest.mark.parametrize("skill", [0.0, 0.5, 0.97, 1.0])
def test_the_score_equals_a_recount_of_the_file(source: NLVR, tmp_path: Path, skill: float) -> None:
    rng = random.Random(0)
    golds = {"true": "yes", "false": "no"}
    predictions = []
    for (example,) in source.rows("test"):
        gold = golds[example.answers[0]]
        wrong = rng.choice([None, "no" if gold == "yes" else "yes"])
        predictions.append(predict(example, gold if rng.random() < skill else wrong))
    path = tmp_path / "official" / "system.csv"
    write_official(path, answers_of(predictions))
    made = score(read_official(path), source.labels("test"))
    accuracy, consistency = recount(path, source.root / "dev" / "dev.json")
    assert (made.accuracy, made.consistency) == pytest.approx((accuracy, consistency))
    assert made.accuracy == pytest.approx(sum(p.correct for p in predictions) / len(predictions))
    assert (made.num_pictures, made.num_sentences) == (108, 9)


def test_the_file_has_one_line_for_each_picture(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    write_official(path, {"test-2-0-1": "true", "test-10-0-0": "unreadable"})
    assert path.read_text() == "test-10-0-0.png,unreadable\ntest-2-0-1.png,true\n"
    assert read_official(path) == {"test-10-0-0": "unreadable", "test-2-0-1": "true"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.csv"]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("test-2-0-1.png,true\ntest-2-0-2.png\n")
    with pytest.raises(ValueError, match=r"p\.csv line 2: got 'test-2-0-2\.png', allowed"):
        read_official(path)


def test_missing_and_other_pictures_are_told() -> None:
    answers = {f"test-7-0-{order}": "True" for order in range(5)} | {"test-8-0-0": "true"}
    with pytest.raises(ValueError, match=r"1 missing \(7-0-5\) and 1 of no labelled example"):
        score(answers, {"7-0": "true"})
    with pytest.raises(ValueError, match="picture: got 'seven', allowed: a name such as"):
        score({"seven": "true"}, {"7-0": "true"})
    full = {f"test-7-0-{order}.png": "TRUE" for order in range(6)}
    assert score(full, {"7-0": "True"}).consistency == 1.0
