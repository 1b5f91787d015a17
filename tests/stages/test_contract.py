"""What every stage promises: which parts change, what is handed over, how a run resumes."""

import pytest
import torch
from lightning import seed_everything
from safetensors.torch import load_file
from tiny import TinyData, tiny_examples, tiny_processor, tiny_stage, tiny_trainer

from mmlite.features import FeatureCache
from mmlite.models.fingerprint import weights_fingerprint
from mmlite.stages import CaptionAlignment, ExtractionTuning, LanguagePretraining
from mmlite.tasks import normalize_answer


def fit(stage, folder, *, steps=3, number=24, batch_size=8):
    data = TinyData(stage.processor, number=number, batch_size=batch_size)
    tiny_trainer(folder, max_steps=steps).fit(stage, data)
    return load_file(folder / "weights.safetensors")


def fingerprints(stage):
    return {name: weights_fingerprint(part) for name, part in stage.parts.items()}


@pytest.mark.parametrize(
    ("kind", "trained"),
    [(CaptionAlignment, {"projector"}), (ExtractionTuning, {"projector", "language"})],
)
def test_exactly_the_named_parts_change(kind, trained, tmp_path):
    seed_everything(0)
    stage = tiny_stage(kind)
    stage.configure_model()
    before = fingerprints(stage)
    weights = fit(stage, tmp_path)
    changed = {name for name, found in fingerprints(stage).items() if found != before[name]}
    assert changed == trained
    # Frozen parts with random weights are left too: nobody else has them.
    assert {name.split(".")[0] for name in weights} == set(stage.parts)


def test_a_few_rows_can_be_learnt_by_heart(tmp_path):
    seed_everything(0)
    stage = tiny_stage(optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.02))
    fit(stage, tmp_path, steps=60, number=4, batch_size=4)
    batch = stage.processor.collate([stage.processor.encode_example(e) for e in tiny_examples(4)])
    total, count = stage.loss(batch)
    assert total / count < 0.3


def test_weights_are_handed_over_by_part(tmp_path):
    seed_everything(0)
    first = tiny_stage()
    fit(first, tmp_path / "first")
    seed_everything(1)
    folder = str(tmp_path / "first")
    second = tiny_stage(init_from={"language": folder, "projector": folder})
    second.configure_model()
    one, other = fingerprints(first), fingerprints(second)
    assert one["language"] == other["language"]
    assert one["projector"] == other["projector"]
    assert one["vision"] != other["vision"]


def test_a_part_that_is_not_there_is_named(tmp_path):
    seed_everything(0)
    whole, aligned = str(tmp_path / "whole"), str(tmp_path / "aligned")
    fit(tiny_stage(), tmp_path / "whole")
    fit(tiny_stage(CaptionAlignment, init_from={"language": whole}), tmp_path / "aligned")
    stage = tiny_stage(init_from={"language": aligned})
    with pytest.raises(ValueError, match="has no weights of language, allowed: projector"):
        stage.configure_model()


def test_a_missing_run_is_named(tmp_path):
    stage = tiny_stage(init_from={"language": str(tmp_path / "none")})
    with pytest.raises(ValueError, match=r"init_from.language: got .*none, but there is no such"):
        stage.configure_model()


def test_unknown_part_names_are_listed_with_the_known():
    stage = tiny_stage(trainable=["projecter"])
    with pytest.raises(ValueError, match=r"trainable: got \['projecter'\], allowed: vision"):
        stage.configure_model()


def test_tokens_per_tile_must_fit_the_projector():
    processor = tiny_processor()
    processor.tokens_per_tile = 5
    with pytest.raises(ValueError, match="tokens_per_tile: got 5, but the projector makes 4"):
        tiny_stage(processor=processor).configure_model()


def test_a_stage_without_a_language_model_is_refused():
    with pytest.raises(ValueError, match="language: got null"):
        LanguagePretraining(tiny_processor()).configure_model()


def test_the_feature_cache_changes_no_weight(tmp_path):
    found = {}
    for name, cache in {
        "off": None,
        "memory": FeatureCache(),
        "disk": FeatureCache(str(tmp_path / "features")),
        "disk again": FeatureCache(str(tmp_path / "features")),
    }.items():
        seed_everything(0)
        stage = tiny_stage(processor=tiny_processor(features=cache))
        found[name] = fit(stage, tmp_path / name, steps=6)
    assert list((tmp_path / "features").rglob("*.safetensors"))
    for name, weights in found.items():
        for key, tensor in weights.items():
            torch.testing.assert_close(tensor, found["off"][key], atol=1e-6, rtol=1e-5, msg=name)


def test_padding_and_batch_order_do_not_change_a_rows_loss():
    seed_everything(0)
    stage = tiny_stage()
    stage.configure_model()
    stage.eval()
    rows = [stage.processor.encode_example(e) for e in tiny_examples(5)]
    alone = [stage.loss(stage.processor.collate([row]))[0] for row in rows]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        together, _ = stage.loss(stage.processor.collate([rows[index] for index in order]))
        torch.testing.assert_close(together, sum(alone), rtol=1e-5, atol=1e-5)


def test_predictions_hold_what_the_model_wrote():
    seed_everything(0)
    stage = tiny_stage()
    stage.configure_model()
    rows = [stage.processor.encode_example(e) for e in tiny_examples(3)]
    made = stage.predict_step(stage.processor.collate(rows), 0)
    assert [p.id for p in made] == ["tiny-0", "tiny-1", "tiny-2"]
    assert made[0].gold == (normalize_answer(tiny_examples(1)[0].turns[-1].text),)
