"""Vision pretraining: what is at each place, as class numbers."""

import math
from dataclasses import replace

import pytest
import torch
from lightning import seed_everything
from tiny import tiny_trainer

from data_modules import CaptionData, Mixed, SceneData
from data_modules.batching import BatchBudget
from data_modules.sources import MicroWorld
from mmlite.batch import IGNORE_INDEX
from mmlite.features import FeatureCache
from mmlite.images import ImageTransform
from mmlite.microworld import Object, Picture, Scene, WorldConfig, caption_example
from mmlite.microworld.scene import COLORS, DIGITS, PLACES, SHAPES, SIZES
from mmlite.models import TimmVision
from mmlite.processor import Processor
from mmlite.stages import VisionPretraining
from mmlite.stages.vision import CLASSES, NO_DIGIT, NO_OBJECT, scene_targets
from mmlite.tokenizers import micro_tokenizer

SMALL = WorldConfig()


def processor(features=None):
    return Processor(micro_tokenizer(), image=ImageTransform(size_px=30), features=features)


def vision(patch_size=10):
    args = {"img_size": 30, "patch_size": patch_size, "embed_dim": 12, "depth": 1, "num_heads": 2}
    kind = {"class_token": False, "global_pool": ""}
    return TimmVision("vit_tiny_patch16_224", model_args={**args, **kind})


def stage(**arguments):
    seed_everything(0)
    arguments.setdefault("processor", processor())
    made = VisionPretraining(vision=vision, **arguments)
    made.configure_model()
    return made


def batch_of(made, *pictures):
    examples = [caption_example(p, source="test", row=n) for n, p in enumerate(pictures)]
    data = SceneData(made.processor)
    rows = [made.processor.encode_example(data.compose((example,))) for example in examples]
    return made.processor.collate(rows)


def picture(seed=0):
    """A red circle with a digit in the center, and a small plain object last."""
    first = Object(SHAPES[0], COLORS[0], SIZES[1], DIGITS[3], PLACES[4])
    last = Object(SHAPES[2], COLORS[1], SIZES[0], None, PLACES[8])
    return Picture(Scene((first, last)), seed, SMALL)


def test_targets_of_each_place():
    targets = scene_targets(batch_of(stage(), picture()))
    assert targets.shape == (9, len(CLASSES))
    assert targets[4].tolist() == [0, 0, 1, 3, 4]
    assert targets[8].tolist() == [2, 1, 0, NO_DIGIT, 8]
    for place in (0, 1, 2, 3, 5, 6, 7):
        assert targets[place].tolist() == [NO_OBJECT, *[IGNORE_INDEX] * 3, place]


def test_targets_follow_the_order_of_pictures():
    made = stage()
    other = Picture(Scene(picture().scene.objects[1:]), 1, SMALL)
    targets = scene_targets(batch_of(made, other, picture()))
    assert targets[4, 0] == NO_OBJECT
    assert targets[9 + 4, 0] == 0


def test_a_fresh_loss_is_near_that_of_guessing():
    made = stage()
    total, count = made.loss(batch_of(made, picture()))
    per_place = [math.log(CLASSES["shape"]), math.log(CLASSES["place"])]
    per_object = [math.log(CLASSES[name]) for name in ("color", "size", "digit")]
    assert count == 9
    assert total.item() == pytest.approx(9 * sum(per_place) + 2 * sum(per_object), rel=0.3)


def test_an_empty_share_takes_part_without_counting():
    made = stage()
    batch = batch_of(made, picture())
    batch = replace(batch, examples=(), labels=torch.full_like(batch.labels, IGNORE_INDEX))
    total, count = made.loss(batch)
    total.backward()
    assert (total.item(), count) == (0.0, 0)
    assert all(p.grad is not None and not p.grad.any() for p in made.parts["vision"].parameters())


def test_data_without_scenes_is_refused():
    made = stage()
    batch = batch_of(made, picture())
    with pytest.raises(
        ValueError, match=r"without their Examples.*allowed: data_modules\.SceneData"
    ):
        made.loss(replace(batch, examples=()))
    blind = tuple(replace(example, scene=None) for example in batch.examples)
    with pytest.raises(ValueError, match=r"test row 0 \(test-0-caption\): got no scene"):
        made.loss(replace(batch, examples=blind))


def test_a_grid_that_is_not_three_by_three_is_refused():
    with pytest.raises(ValueError, match="got 4 patches, allowed: a square grid whose side"):
        VisionPretraining(processor(), vision=lambda: vision(15)).configure_model()
    with pytest.raises(ValueError, match="vision: got null, allowed: a vision encoder"):
        VisionPretraining(processor()).configure_model()


def source():
    return MicroWorld(num_images=4, questions_per_row=0, rows_per_image=1, held_out_per_kind=3)


def test_scenes_are_learnt_and_measured(tmp_path):
    made = stage(optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.01))
    data = SceneData(
        made.processor,
        train=[Mixed(source(), weight=200)],
        validation=[source()],
        budget=BatchBudget(4),
    )
    trainer = tiny_trainer(tmp_path, max_steps=200, limit_val_batches=None)
    trainer.fit(made, data)
    assert {"val/loss", "val/place_accuracy"} <= set(trainer.callback_metrics)
    batch = next(iter(data.train_dataloader()))
    total, count = made.loss(batch)
    assert total / count < 2.2  # it starts near 4.5


def test_captions_alone_are_refused(tmp_path):
    made = stage()
    data = CaptionData(made.processor, train=[Mixed(source())])
    with pytest.raises(ValueError, match=r"data_modules\.SceneData"):
        tiny_trainer(tmp_path, max_steps=1).fit(made, data)


def test_heads_on_a_frozen_encoder_read_cached_features(tmp_path):
    found = []
    for cache in (None, FeatureCache()):
        made = stage(processor=processor(cache), trainable=["heads"])
        data = SceneData(made.processor, train=[Mixed(source())], budget=BatchBudget(4))
        tiny_trainer(tmp_path, max_steps=3).fit(made, data)
        found.append(made.parts["heads"].state_dict())
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, msg=name)
