"""Studies over box scenes: sources named by a file, and the gallery's clauses."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from made_nlvr import made_records, write_corpus
from nlvr.test_official import predict

from data_modules.sources import NLVR
from mmlite.config.files import referenced_files
from mmlite.predictions import write_predictions
from mmlite.study.gallery import gallery
from mmlite.study.sources import build_source
from mmlite.study.spec import StudySpec

STUDY = {
    "name": "boxes",
    "title": "Boxes",
    "sizes": ["d"],
    "runs": {"eyes": {"config": ["eyes.yaml"]}},
    "evaluation": {
        "source": "parts/corpus.yaml",
        "runs": {"extract": "eyes", "reasoner": "eyes"},
        "systems": [
            {"perceiver": "extract", "reasoner": "answer"},
            {"perceiver": "blind", "reasoner": "majority"},
        ],
    },
}


@pytest.fixture
def study(tmp_path: Path) -> StudySpec:
    root = write_corpus(tmp_path / "corpus", "dev", made_records(2))
    corpus = {
        "class_path": "data_modules.sources.NLVR",
        "init_args": {"root": str(root), "train": None, "test": "dev"},
    }
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "corpus.yaml").write_text(yaml.safe_dump(corpus))
    (tmp_path / "eyes.yaml").write_text(
        "data:\n  source: parts/corpus.yaml\n  more:\n    - parts/corpus.yaml\n"
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return StudySpec.read(tmp_path / "study.yaml")


def test_a_source_may_be_a_file_and_its_content_counts(study: StudySpec) -> None:
    source = build_source(study.evaluation.source, seed=0)
    assert isinstance(source, NLVR)
    assert len(source.rows("test")) == 24
    eyes = study.path.parent / "eyes.yaml"
    assert referenced_files(eyes) == [eyes, study.path.parent / "parts" / "corpus.yaml"]


def test_a_missing_source_file_is_told(study: StudySpec) -> None:
    (study.path.parent / "parts" / "corpus.yaml").unlink()
    with pytest.raises(ValueError, match=r"source: got 'parts/corpus\.yaml', but there is no file"):
        StudySpec.read(study.path)


def test_the_gallery_judges_items(study: StudySpec, tmp_path: Path) -> None:
    rows = build_source(study.evaluation.source, seed=0).rows("test")
    examples = [example for row in rows for example in row]
    sizes = {"system": "extract_answer", "perceiver": "extract", "reasoner": "answer"}
    found = [
        replace(predict(e, "yes"), **sizes, extraction=f"{e.extraction} right box large blue star.")
        for e in examples
    ]
    write_predictions(tmp_path / "predictions" / "a.jsonl", found)
    entries = gallery(study, tmp_path, examples)
    assert {entry["category"] for entry in entries} == {"tower", "scatter"}
    for entry in entries:
        statuses = [clause["status"] for clause in entry["clauses"]]
        assert statuses[-1] == "invented"
        assert set(statuses[:-1]) <= {"found"}
        assert entry["image_png_base64"]
