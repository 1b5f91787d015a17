"""The card of an exported model says how it came about, how good it is, and what is not known."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# transformers and Lightning tell too little of what their modules are.

import json

import yaml
from made_runs import FIXED, QWEN, make_run, run_config

from mmlite.interop.export.card import Labels, base_models, model_card
from mmlite.interop.export.compare import Compared
from mmlite.interop.export.history import run_of, scores_of, stages_of
from mmlite.predictions import write_predictions
from mmlite.records import Prediction
from mmlite.runs import CONFIG_FILE, load_run

COMPARED = Compared(samples=6, logits=4e-7, pixels=6e-8, answers=("a",))


def prediction(number, *, correct, group="vision"):
    return Prediction(
        id=f"q{number}",
        seed=4,
        system="end_to_end",
        perceiver="end_to_end",
        perceiver_size="d",
        reasoner="end_to_end",
        reasoner_size="d",
        category="count",
        group=group,
        question="how many ?",
        gold=("one",),
        output="one",
        parsed="one",
        correct=correct,
    )


def test_scores_come_from_predictions_beside_the_run(tmp_path):
    found = [prediction(n, correct=n < 6) for n in range(8)]
    found += [prediction(8 + n, correct=False, group="language") for n in range(2)]
    write_predictions(tmp_path / "run" / "predictions" / "tuning.jsonl", found)
    vision, language = scores_of(tmp_path / "run")
    assert (vision.group, vision.correct, vision.total, vision.seed) == ("vision", 6, 8, 4)
    assert 0.40 < vision.low < 0.42  # Wilson, 6 of 8
    assert 0.92 < vision.high < 0.94
    assert (language.correct, language.low) == (0, 0.0)


def test_scores_come_from_the_study_the_run_is_of(tmp_path):
    """Only rows in which this very run plays its role: its size, its seed."""
    study = tmp_path / "study"
    run = study / "seed-1" / "instruction-d"
    run.mkdir(parents=True)
    entry = {"name": "seed-1/instruction-d", "roles": ["end_to_end"], "size": "d", "seed": 1}
    (study / "study.json").write_text(json.dumps({"runs": [entry]}))
    row = {
        "system": "end_to_end",
        "perceiver": "end_to_end",
        "perceiver_size": "d",
        "seed": 1,
        "category": "all",
        "group": "vision",
        "correct": 3,
        "n": 4,
        "ci_low": 0.3,
        "ci_high": 0.95,
    }
    others = [{"seed": "all"}, {"seed": 0}, {"perceiver_size": "a"}, {"category": "count"}]
    others.append({"perceiver": "extract"})
    rows = [row, *({**row, **other} for other in others)]
    (study / "results.json").write_text(json.dumps({"rows": rows}))
    (score,) = scores_of(run)
    assert (score.correct, score.total, score.low, score.high) == (3, 4, 0.3, 0.95)


def test_stages_are_told_from_the_first_to_the_last(tmp_path):
    first = run_config(tmp_path / "align" / "x", image=FIXED, chat=QWEN, trainable=None)
    first["model"]["class_path"] = "mmlite.stages.CaptionAlignment"
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / CONFIG_FILE).write_text(yaml.safe_dump(first))
    second = run_config(
        tmp_path / "align" / "x",
        image=FIXED,
        chat=QWEN,
        init_from={"projector": str(tmp_path / "first"), "language": "some/published-model"},
    )
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / CONFIG_FILE).write_text(yaml.safe_dump(second))
    records = stages_of(tmp_path / "second")
    assert [record.stage for record in records] == ["CaptionAlignment", "InstructionTuning"]
    assert records[0].trained == ("projector",)  # the stage's own
    assert records[1].trained == ("vision", "projector", "language")
    assert records[1].steps == 3
    assert records[1].data == ("LLaVA (train=train.json, limit=100)",)


def test_base_models_are_names_on_the_hub(tmp_path):
    config = run_config(tmp_path / "run", image=FIXED, chat=QWEN)
    arguments = config["model"]["init_args"]
    assert base_models(config) == []  # a local folder is no name
    arguments["language"]["init_args"]["name"] = "Qwen/Qwen3-0.6B"
    arguments["vision"]["init_args"]["model_name"] = (
        "hf-hub:timm/vit_so400m_patch14_siglip_384.webli@main"
    )
    assert base_models(config) == ["Qwen/Qwen3-0.6B", "timm/vit_so400m_patch14_siglip_384.webli"]


def test_the_card_holds_all_of_it_and_no_path(tmp_path):
    run = make_run(tmp_path / "runs" / "tiny-run", image=FIXED, chat=QWEN)
    found = [prediction(n, correct=n < 6) for n in range(8)]
    write_predictions(run / "predictions" / "tuning.jsonl", found)
    model = load_run(run).built
    labels = Labels("A | name: odd", license="apache-2.0")
    card = model_card(run, model, labels, COMPARED)
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "apache-2.0"
    assert head["pipeline_tag"] == "image-text-to-text"
    assert head["library_name"] == "transformers"
    assert "| end_to_end | vision | 4 | 75.0 % | 40.9 to 92.9 % | 8 |" in card
    assert "| tiny-run | InstructionTuning | vision, projector, language | 3 | LLaVA" in card
    assert "| projector | 672 |" in card
    assert "logits within 4.0e-07" in card
    assert "- Data: unknown" in card
    assert "Fill in what is unknown before you share this model." in card
    assert str(tmp_path) not in card
    full = model_card(run, model, Labels(license="mit", data_license="mit"), COMPARED)
    assert "Fill in" not in full
    assert "# tiny-run" in full


def test_a_card_names_the_hub_models_of_timm_too():
    vision = {"init_args": {"model_name": "vit_so400m_patch14_siglip_384", "pretrained": True}}
    language = {"init_args": {"name": "Qwen/Qwen3-0.6B"}}
    arguments = {"vision": vision, "language": language}
    found = base_models({"model": {"init_args": arguments}})
    assert found == ["Qwen/Qwen3-0.6B", "timm/vit_so400m_patch14_siglip_384.webli"]
    vision["init_args"]["pretrained"] = False
    assert base_models({"model": {"init_args": arguments}}) == ["Qwen/Qwen3-0.6B"]


def test_steps_are_those_that_were_done(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    config = run_config(tmp_path / "align" / "x", image=FIXED, chat=QWEN)
    config["trainer"] = {"max_steps": -1, "max_epochs": 1}
    (run / CONFIG_FILE).write_text(yaml.safe_dump(config))
    assert stages_of(run)[-1].steps is None
    (run / "curve.json").write_text(json.dumps({"points": [[5, 2.0], [12, 1.0]]}))
    assert stages_of(run)[-1].steps == 12
    assert run_of(run / "checkpoints" / "last.ckpt") == run
