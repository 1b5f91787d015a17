"""Facts of NLVR: the items a text states, judged against those of the scene, as multisets."""

from collections import Counter
from dataclasses import replace

from mmlite.microworld import FactScore
from mmlite.microworld.facts import Status
from mmlite.nlvr.descriptions import Seen, describe, read, words_of
from mmlite.nlvr.scene import BoxScene


def score_items(text: str, gold: str, scene: BoxScene, *, places: bool = True) -> FactScore:
    """Score what a text says of a scene.

    An item is right when box, size, color, shape and, with `places`, place and sides touched are
    all right; two equal items have to be written twice. Recall is over the items that the gold
    text states, precision over those that the text states and the scene has or has not.

    Args:
        text: What a perceiver wrote.
        gold: The gold description or extraction.
        scene: The ground truth.
        places: Whether places within a box and sides touched have to be right too.
    """
    written, needed, real = (
        _count(read(part), places=places) for part in (text, gold, describe(scene))
    )
    found = (written & needed).total()
    true = (written & real).total()
    return FactScore(
        found=found,
        missed=needed.total() - found,
        invented=written.total() - true,
        true=true,
    )


def judge_items(text: str, gold: str, scene: BoxScene) -> list[tuple[str, Status]]:
    """Judge each item a text states, and append the items of the gold text that were missed.

    Args:
        text: What a perceiver wrote.
        gold: The gold description or extraction.
        scene: The ground truth.
    """
    needed, real = (_count(read(part), places=True) for part in (gold, describe(scene)))
    judged: list[tuple[str, Status]] = []
    for seen in read(text):
        status: Status = "found" if needed[seen] > 0 else "true"
        judged.append((words_of(seen), status if real[seen] > 0 else "invented"))
        needed[seen] -= 1
        real[seen] -= 1
    return [*judged, *((words_of(seen), "missed") for seen in needed.elements())]


def _count(items: list[Seen], *, places: bool) -> Counter[Seen]:
    if places:
        return Counter(items)
    return Counter(replace(item, place=None, touching=()) for item in items)
