"""Scenes: drawing, dials, splits."""

import random

import pytest

from mmlite.microworld.scene import (
    SHAPES,
    SPLITS,
    Object,
    Scene,
    WorldConfig,
    draw_scene,
    draw_scene_of,
    scene_key,
    split_of,
)


def test_scenes_keep_to_the_dials():
    config = WorldConfig(min_objects=3, max_objects=4, min_palette=1, max_palette=2)
    rng = random.Random(0)
    for _ in range(300):
        scene = draw_scene(rng, config)
        assert 3 <= len(scene.objects) <= 4
        assert len({o.color for o in scene.objects}) <= 2
        assert len({o.shape for o in scene.objects}) == len(scene.objects)
        assert len({o.place for o in scene.objects}) == len(scene.objects)


def test_digit_fraction_decides_who_carries_a_digit():
    rng = random.Random(0)
    none = [draw_scene(rng, WorldConfig(digit_fraction=0)) for _ in range(50)]
    every = [draw_scene(rng, WorldConfig(digit_fraction=1)) for _ in range(50)]
    assert all(o.digit is None for scene in none for o in scene.objects)
    assert all(o.digit is not None for scene in every for o in scene.objects)


def test_equal_seeds_draw_equal_scenes():
    one = draw_scene(random.Random(5), WorldConfig())
    assert one == draw_scene(random.Random(5), WorldConfig())
    assert one != draw_scene(random.Random(6), WorldConfig())


def test_splits_are_disjoint_by_hash_and_of_the_promised_sizes():
    keys = {}
    for split in SPLITS:
        rng = random.Random(f"{split}")
        keys[split] = {scene_key(draw_scene_of(split, rng, WorldConfig())) for _ in range(3000)}
    assert len(set.union(*keys.values())) == sum(len(k) for k in keys.values())
    rng = random.Random(1)
    splits = [split_of(draw_scene(rng, WorldConfig())) for _ in range(5000)]
    assert splits.count("train") / 5000 == pytest.approx(0.8, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.1, abs=0.015)


def test_the_key_sees_every_attribute():
    obj = Object("circle", "red", "small", "3", "center")
    changed = [
        Object("star", "red", "small", "3", "center"),
        Object("circle", "blue", "small", "3", "center"),
        Object("circle", "red", "large", "3", "center"),
        Object("circle", "red", "small", None, "center"),
        Object("circle", "red", "small", "3", "top-left"),
    ]
    assert len({scene_key(Scene((o,))) for o in [obj, *changed]}) == 6


def test_scene_and_config_survive_json():
    scene = draw_scene(random.Random(0), WorldConfig())
    assert Scene.from_json(scene.to_json()) == scene
    config = WorldConfig(noise=3.0)
    assert WorldConfig.from_json(config.to_json()) == config


def test_look_ups():
    scene = Scene((Object("circle", "red", "small", "3", "center"),))
    assert scene.at("center") is scene.named("circle") is scene.objects[0]
    assert scene.at("top-left") is None
    assert scene.named(SHAPES[1]) is None
    assert scene.count("red") == 1


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"min_objects": 0}, "min_objects, max_objects: got 0, 6, allowed: 1 <= min <= max <= 6"),
        ({"max_palette": 7}, "max_palette: got 2, 7, allowed: 1 <= min <= max <= 6"),
        ({"digit_fraction": 1.5}, "digit_fraction: got 1.5, allowed: 0 to 1"),
        ({"occlusion": -0.1}, "occlusion: got -0.1, allowed: 0 to 1"),
        ({"noise": -1.0}, "noise: got -1.0, allowed: 0 or more"),
        ({"cell_px": 8}, "cell_px: got 8, allowed: 16 or more"),
    ],
)
def test_bad_dials_are_refused(dials, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**dials)


def test_all_bad_dials_are_told_at_once():
    with pytest.raises(ValueError, match=r"noise: got -1.*; cell_px: got 1"):
        WorldConfig(noise=-1, cell_px=1)


def test_unknown_dial_and_split_are_refused():
    with pytest.raises(ValueError, match=r"world: got \['nois'\], allowed: .*noise"):
        WorldConfig.from_json({"nois": 1})
    with pytest.raises(ValueError, match="split: got 'dev', allowed: train, validation, test"):
        draw_scene_of("dev", random.Random(0), WorldConfig())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"max_objects": "many"}, "max_objects: got 'many', allowed: a whole number"),
        ({"cell_px": 20.5}, r"cell_px: got 20\.5, allowed: a whole number"),
        ({"min_palette": True}, "min_palette: got True, allowed: a whole number"),
        ({"noise": [1]}, r"noise: got \[1\], allowed: a number"),
        ({"occlusion": None, "shading": "x"}, "shading: got 'x', .*; occlusion: got None, allowed"),
    ],
)
def test_dials_of_another_type_are_refused_by_name(dials, message):
    with pytest.raises(ValueError, match=f"world: {message}"):
        WorldConfig.from_json(dials)


def test_whole_numbers_are_numbers():
    assert WorldConfig.from_json({"noise": 3}).noise == 3
