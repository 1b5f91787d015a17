"""Vision pretraining on box scenes: its targets, what it learns from, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_nlvr import item, made_records, write_corpus
from tiny import tiny_processor, tiny_trainer, tiny_vision

from data_modules import Mixed, SceneData
from data_modules.batching import BatchBudget
from data_modules.sources import NLVR
from mmlite.batch import IGNORE_INDEX
from mmlite.nlvr.descriptions import PLACES
from mmlite.nlvr.scene import BoxScene
from mmlite.records import Example, Turn
from mmlite.stages import BoxPretraining
from mmlite.stages.boxes import box_targets


@pytest.fixture
def data(tmp_path: Path) -> SceneData:
    corpus = NLVR(
        str(write_corpus(tmp_path, "hidden", made_records(4))), test=None, validation_fraction=0.25
    )
    return SceneData(
        tiny_processor(tiles=3),
        train=[Mixed(corpus)],
        validation=[corpus],
        budget=BatchBudget(batch_size=8),
    )


def test_targets_say_which_item_has_its_centre_where() -> None:
    structured = [
        [item("yellow", "triangle", 20, 0, 0)],
        [item("black", "square", 30, 70, 70), item("blue", "circle", 10, 48, 45)],
        [item("blue", "circle", 10, 90, 45)],
    ]
    scene = BoxScene.from_corpus(structured).to_json()
    turns = (Turn("user", "look"), Turn("assistant", "red", trained=True))
    example = Example("0", turns, scene=scene)
    processor = tiny_processor(tiles=3)
    batch = processor.collate([processor.encode(turns, example=example)])
    # Tiles are 133 pixels wide: the boxes begin at 0, 17 and 33 of them.
    targets = box_targets(batch, 4).unflatten(0, (3, 4, 4))
    shape, color, size, place, across, up = targets.unbind(-1)
    items = [(box, row, column) for box, row, column in (shape < 3).nonzero().tolist()]
    assert items == [(0, 0, 0), (1, 2, 2), (1, 3, 3), (2, 2, 3)]
    found = [(shape[at], color[at], size[at]) for at in map(tuple, items)]
    shapes, colors = ("circle", "square", "triangle"), ("yellow", "black", "blue")
    assert [(shapes[s], colors[c], z.item()) for s, c, z in found] == [
        ("triangle", "yellow", 1),
        ("circle", "blue", 0),
        ("square", "black", 2),
        ("circle", "blue", 0),
    ]
    assert [PLACES[place[at]] for at in map(tuple, items)] == [
        *("top-left", "center", "bottom-right", "middle-right"),
    ]
    touching = [(across[at].item(), up[at].item()) for at in map(tuple, items)]
    assert touching == [(1, 1), (0, 0), (2, 2), (2, 0)]
    assert (shape == 3).sum() == 3 * 16 - 4
    assert (color == IGNORE_INDEX).sum() == 3 * 16 - 4


def test_it_learns_and_measures(data: SceneData, tmp_path: Path) -> None:
    stage = BoxPretraining(data.processor, vision=tiny_vision, optimizer=torch.optim.AdamW)
    trainer = tiny_trainer(tmp_path, max_steps=4, limit_val_batches=1, val_check_interval=4)
    batch = next(iter(data.train_dataloader()))
    stage.configure_model()
    with torch.no_grad():
        before = stage.loss(batch)[0].item()
    trainer.fit(stage, data)
    assert stage.loss(batch)[0].item() < before
    assert 0 <= trainer.callback_metrics["val/item_accuracy"].item() <= 1
    assert (tmp_path / "weights.safetensors").is_file()


def test_what_it_refuses(data: SceneData) -> None:
    with pytest.raises(ValueError, match="got grid_rows 1, grid_columns 1, allowed: 1 and 3"):
        BoxPretraining(tiny_processor(), vision=tiny_vision).configure_model()
    with pytest.raises(ValueError, match="vision: got null, allowed: a vision encoder"):
        BoxPretraining(data.processor).configure_model()
    batch = next(iter(data.train_dataloader()))
    with pytest.raises(ValueError, match="without their Examples, whose scenes are learnt"):
        box_targets(replace(batch, examples=()), 4)
    micro = replace(batch.examples[0], scene={"objects": []})
    with pytest.raises(ValueError, match=r"nlvr row \d+ \(.*\): got no box scene, allowed"):
        box_targets(replace(batch, examples=(micro,)), 4)
