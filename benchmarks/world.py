"""Measure how fast the micro-world is made, in one process.

Run: python benchmarks/world.py [--seconds 2]
"""

import argparse
import random
import sys
import time
from collections.abc import Callable

from mmlite.microworld import Picture, Questions, WorldConfig, draw_scene_of, render, text_item
from mmlite.tokenizers import micro_tokenizer


def rate(step: Callable[[int], int], seconds: float) -> float:
    """Return how much is made per second.

    Args:
        step: Makes something, given a running number, and returns how much that was.
        seconds: How long to measure.
    """
    step(0)  # caches are filled once, before the clock starts
    made, number, passed, start = 0, 0, 0.0, time.perf_counter()
    while passed < seconds:
        number += 1
        made += step(number)
        passed = time.perf_counter() - start
    return made / passed


def main() -> None:
    """Print one line per thing that is made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time per measurement")
    seconds = parser.parse_args().seconds
    config, questions, rng = WorldConfig(), Questions(), random.Random(0)
    tokenizer = micro_tokenizer()
    scenes = [draw_scene_of("train", rng, config) for _ in range(2000)]
    kinds = list(questions.kinds)

    def scene(number: int) -> int:
        draw_scene_of("train", rng, config)
        return 1

    def image(number: int) -> int:
        render(Picture(scenes[number % len(scenes)], number, config))
        return 1

    def pick(number: int) -> int:
        questions.pick(kinds[number % len(kinds)], scenes[number % len(scenes)], rng)
        return 1

    def text(number: int) -> int:
        text_item(questions, number)
        return 1

    def tokens(number: int) -> int:
        items = (text_item(questions, number * 100 + i) for i in range(100))
        texts = [f"<user>{item.prompt}<assistant>{item.text}<end>" for item in items]
        return sum(len(ids) for ids in tokenizer(texts)["input_ids"])

    measured = {
        "training scenes drawn": scene,
        "images rendered": image,
        "questions picked": pick,
        "text items drawn": text,
        "tokens drawn and encoded": tokens,
    }
    for name, step in measured.items():
        sys.stdout.write(f"{name + '/s':<28}{rate(step, seconds):>12,.0f}\n")


if __name__ == "__main__":
    main()
