"""The ledger of a mixture says what a run trains on; the same seed, the same ledger."""

import json

from tiny import tiny_stage, tiny_trainer

from data_modules import Mixed, TextData
from data_modules.ledger import mixture_ledger
from data_modules.mixture import Mixture
from data_modules.sources import Source
from mmlite.records import Example, Turn


class Numbers(Source):
    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def rows(self, split):
        turns = (Turn("user", "red"), Turn("assistant", "blue", trained=True))
        return [(Example(f"{self.name}-{n}", turns, row=n),) for n in range(self.size)]

    def describe(self, split):
        return {"file": f"{self.name}.{split}"}


def mixed():
    return [
        Mixed(Numbers("a", 40), limit=10, weight=1.5),
        Mixed(Numbers("b", 8), weight=0.5),
        Mixed(Numbers("c", 9), replay=0.2),
    ]


def test_the_ledger_counts_what_comes(tmp_path):
    mixture = Mixture(mixed(), seed=3)
    ledger = mixture_ledger(mixture)
    order = mixture.order(0)
    assert ledger["rows_per_epoch"] == len(order) == 24
    for number, source in enumerate(ledger["sources"]):
        assert source["rows_per_epoch"] == (order[:, 0] == number).sum()
    assert [s["rows_chosen"] for s in ledger["sources"]] == [10, 8, 9]
    assert [s["rows_per_epoch"] for s in ledger["sources"]] == [15, 4, 5]
    assert ledger["sources"][0]["file"] == "a.train"
    assert ledger == mixture_ledger(Mixture(mixed(), seed=3))
    other = mixture_ledger(Mixture(mixed(), seed=4))
    assert other["first_epoch_hash"] != ledger["first_epoch_hash"]
    assert other["sources"][0]["chosen_hash"] != ledger["sources"][0]["chosen_hash"]


def test_a_run_writes_its_ledger(tmp_path):
    stage = tiny_stage()
    data = TextData(stage.processor, train=mixed(), seed=3)
    tiny_trainer(tmp_path, max_steps=1).fit(stage, data)
    written = json.loads((tmp_path / "mixture.json").read_text())
    assert written == mixture_ledger(Mixture(mixed(), seed=3))
