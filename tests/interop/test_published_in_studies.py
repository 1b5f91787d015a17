"""Published models play roles in a study by YAML alone, without any run of ours."""

import json

import pytest
import torch
import yaml
from folders import save_llava_onevision, save_qwen2_vl

from mmlite.config.problem import ArgumentProblem
from mmlite.predictions import read_predictions
from mmlite.study.jobs import is_done, plan, predictions_file
from mmlite.study.preflight import check_evaluation
from mmlite.study.sources import build_model
from mmlite.study.spec import StudySpec
from mmlite.study.summary import summarise
from mmlite.study.work import do
from mmlite.systems import PerceptionStore

CLASS = "mmlite.interop.ImageTextModel"


def image_text(folder):
    arguments = {"name": str(folder), "dtype": "float32", "batch_size": 4}
    return {"class_path": CLASS, "init_args": {**arguments, "decoding": {"max_new_tokens": 5}}}


def study_file(folder, models, systems, **more):
    study = {
        "name": "published",
        "title": "Models of others",
        "sizes": [],
        "runs": {},
        "evaluation": {
            "source": {
                "class_path": "data_modules.sources.MicroWorld",
                "init_args": {"held_out_per_kind": 1},
            },
            "runs": {},
            "models": models,
            "systems": systems,
            "max_new_tokens": 6,
        },
        **more,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    return save_llava_onevision(root / "ov"), save_qwen2_vl(root / "qwen")


def test_two_architectures_see_reason_and_answer_end_to_end(folders, tmp_path):
    models = {"ov-tiny": image_text(folders[0]), "qwen-vl": image_text(folders[1])}
    systems = [
        {"end_to_end": True, "model": "ov-tiny"},
        {"end_to_end": "blind", "model": "ov-tiny"},
        {"end_to_end": True, "model": "qwen-vl"},
        {
            "perceiver": "extract",
            "perceiver_model": "qwen-vl",
            "reasoner": "think",
            "reasoner_model": "ov-tiny",
        },
        {"perceiver": "oracle_question", "reasoner": "answer", "reasoner_model": "qwen-vl"},
        {"perceiver": "caption", "perceiver_model": "ov-tiny", "reasoner": "symbolic"},
    ]
    study = StudySpec.read(study_file(tmp_path, models, systems))
    out = tmp_path / "out"
    threads = torch.get_num_threads()
    jobs = plan(study, out)
    for job in jobs:
        do(job, study, out, lambda *told: None)
    torch.set_num_threads(threads)
    assert all(is_done(job, out) for job in jobs)
    found = [
        p for j in jobs if j.action == "answer" for p in read_predictions(predictions_file(j, out))
    ]
    names = {(p.system, p.perceiver_size, p.reasoner_size) for p in found}
    assert names == {
        ("end_to_end", "ov-tiny", "ov-tiny"),
        ("end_to_end_blind", "ov-tiny", "ov-tiny"),
        ("end_to_end", "qwen-vl", "qwen-vl"),
        ("extract_think", "qwen-vl", "ov-tiny"),
        ("oracle_question_answer", "", "qwen-vl"),
        ("caption_symbolic", "ov-tiny", ""),
    }
    per_system = {name: [p for p in found if p.system == name[0]] for name in names}
    assert all(per_system.values())
    extracted = [p.extraction for p in found if p.system == "extract_think"]
    assert len(set(extracted)) > 1
    report = summarise(study, out, jobs, command="mmlite study", seconds=1.0)
    assert "ov-tiny" in report.read_text()
    results = json.loads((out / "results.json").read_text())
    assert results["meta"]["sizes"] == []  # nothing is said of how published models scale
    assert {row["reasoner_size"] for row in results["rows"]} == {"ov-tiny", "qwen-vl", ""}
    assert json.loads((out / "study.json").read_text())["models"][0]["class_path"] == CLASS


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_seeds_sample_other_texts_and_share_greedy_ones(folders, tmp_path, temperature):
    model = image_text(folders[0])
    model["init_args"]["decoding"]["temperature"] = temperature
    systems = [{"perceiver": "blind", "reasoner": "answer", "reasoner_model": "tiny"}]
    path = study_file(tmp_path, {"tiny": model}, systems, seeds=[0, 1])
    study = StudySpec.read(path)
    study.evaluation.source["init_args"]["seed"] = 0  # both seeds ask the same questions
    out = tmp_path / "out"
    threads = torch.get_num_threads()
    jobs = plan(study, out)
    for job in jobs:
        do(job, study, out, lambda *told: None)
    torch.set_num_threads(threads)
    first, second = ([p.output for p in read_predictions(predictions_file(j, out))] for j in jobs)
    assert (first == second) == (temperature == 0)
    kept = [line for file in (out / "store").iterdir() for line in file.read_text().splitlines()]
    assert (len(kept) > len(first)) == (temperature > 0), "greedy texts are found in the store"


def test_a_changed_model_is_asked_again(folders, tmp_path):
    systems = [{"end_to_end": True, "model": "tiny"}]
    save_llava_onevision(tmp_path / "model")
    models = {"tiny": image_text(tmp_path / "model")}
    study = StudySpec.read(study_file(tmp_path, models, systems))
    before = plan(study, tmp_path)[0].key
    assert plan(study, tmp_path)[0].key == before
    (tmp_path / "model" / "config.json").touch()
    assert plan(study, tmp_path)[0].key != before
    models["tiny"]["init_args"]["system"] = "look"
    changed = StudySpec.read(study_file(tmp_path, models, systems))
    assert plan(changed, tmp_path)[0].key != plan(study, tmp_path)[0].key


@pytest.mark.parametrize(
    ("system", "told"),
    [
        ({"end_to_end": True, "model": "gone"}, "model: got 'gone', allowed: tiny"),
        (
            {"perceiver": "blind", "perceiver_model": "tiny", "reasoner": "symbolic"},
            "perceiver_model: got 'tiny', allowed only with perceiver extract or caption",
        ),
        (
            {"perceiver": "blind", "reasoner": "symbolic", "model": "tiny"},
            "model: got 'tiny', allowed only with end_to_end",
        ),
        ({"perceiver": "extract", "reasoner": "symbolic"}, "needs evaluation.runs.extract"),
    ],
)
def test_systems_that_cannot_be_are_refused(tmp_path, system, told):
    path = study_file(tmp_path, {"tiny": {"class_path": CLASS}}, [system])
    with pytest.raises(ValueError, match=told):
        StudySpec.read(path)


def test_models_that_cannot_be_are_refused(tmp_path):
    systems = [{"end_to_end": True, "model": "a b"}]
    path = study_file(tmp_path, {"a b": {"name": "x"}}, systems)
    with pytest.raises(ValueError, match=r"got the name 'a b', allowed: letters.*models.a b: got"):
        StudySpec.read(path)
    wrong = {"class_path": CLASS, "init_args": {"name": "x/y", "batchsize": 2}}
    with pytest.raises(ValueError, match=r"tiny.init_args: got \['batchsize'\].*mean batch_size\?"):
        build_model(wrong, "tiny")
    gone = {"class_path": CLASS, "init_args": {"name": "./gone"}}
    with pytest.raises(ValueError, match=r"evaluation.models.tiny: .*'./gone', but there is no"):
        build_model(gone, "tiny")
    other = {"class_path": "mmlite.interop.NoModel"}
    with pytest.raises(ValueError, match=r"tiny.class_path: got '.*NoModel', which cannot be"):
        build_model(other, "tiny")
    source = {"class_path": "data_modules.sources.MicroWorld"}
    with pytest.raises(ValueError, match=r"MicroWorld', allowed: a PublishedModel, such as"):
        build_model(source, "tiny")


@pytest.mark.parametrize(
    ("system", "key"),
    [
        ({"end_to_end": True, "model": "text"}, "model"),
        ({"perceiver": "extract", "perceiver_model": "text", "reasoner": "symbolic"}, "perceiver"),
        ({"end_to_end": "blind", "model": "text"}, None),
    ],
)
def test_a_model_without_eyes_is_refused_before_any_is_loaded(tmp_path, system, key):
    text = {"class_path": "mmlite.interop.CausalModel", "init_args": {"name": "some/model"}}
    study = StudySpec.read(study_file(tmp_path, {"text": text}, [system]))
    if key is None:
        check_evaluation(study)
        return
    told = rf"study.yaml: evaluation.systems\[0\].{key}.*: got 'text', a model that sees no images"
    with pytest.raises(ArgumentProblem, match=told):
        check_evaluation(study)


def test_the_papers_prompts_are_asked_with_an_info_that_a_model_writes(folders, tmp_path):
    models = {"ov-tiny": image_text(folders[0]), "qwen-vl": image_text(folders[1])}
    extract = {"perceiver": "extract", "perceiver_model": "ov-tiny", "reasoner": "symbolic"}
    path = study_file(tmp_path, models, [extract])
    value = yaml.safe_load(path.read_text())
    value["evaluation"]["prompts"] = "paper"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(
        ArgumentProblem, match=r"asks for an info that .* does not have.*evaluation"
    ):
        check_evaluation(StudySpec.read(path))
    value["evaluation"]["info"] = "nobody"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(
        ValueError, match=r"evaluation\.info: got 'nobody', allowed: ov-tiny, qwen-vl"
    ):
        StudySpec.read(path)
    value["evaluation"]["info"] = "qwen-vl"
    path.write_text(yaml.safe_dump(value))
    study, out = StudySpec.read(path), tmp_path / "out"
    check_evaluation(study)
    threads = torch.get_num_threads()
    jobs = plan(study, out)
    for job in jobs:
        do(job, study, out, lambda *told: None)
    torch.set_num_threads(threads)
    (answers,) = [job for job in jobs if job.action == "answer"]
    found = read_predictions(predictions_file(answers, out))
    assert found
    # Each text was asked for once: an info and an extraction for every question.
    assert len(PerceptionStore(out / "store")) == 2 * len(found)
    value["evaluation"]["info"] = "ov-tiny"  # another model: everything is asked again
    path.write_text(yaml.safe_dump(value))
    assert {job.key for job in plan(StudySpec.read(path), out)}.isdisjoint(j.key for j in jobs)
