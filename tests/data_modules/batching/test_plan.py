"""Planning batches and mixing sources."""

from collections import Counter

import pytest
from tiny import tiny_examples, tiny_processor

from data_modules import BadRows, Mixed, QAData, TextData
from data_modules.batching import BatchBudget, BatchPlan, PlannedLoader
from data_modules.mixture import Mixture
from data_modules.sources import Source
from mmlite.records import Example, Turn


class Numbers(Source):
    """Rows that are their own number."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def rows(self, split):
        return [
            (Example(f"{self.name}-{n}", (Turn("user", "red"),), row=n),) for n in range(self.size)
        ]


def plan(number=23, *, rank=0, processes=1, budget=None, seed=0):
    return BatchPlan(
        lambda epoch: tiny_examples(number),
        tiny_processor().encode_example,
        size=number,
        budget=budget or BatchBudget(4 // processes, window_batches=2),
        shuffle_seed=seed,
        rank=rank,
        processes=processes,
    )


def ids(batch):
    return [row.example.id for row in batch if row.example is not None]


def test_every_row_comes_once_per_epoch_in_an_order_of_the_seed():
    first = [ids(batch) for batch in plan().batches(0)]
    assert sorted(name for batch in first for name in batch) == sorted(
        e.id for e in tiny_examples(23)
    )
    assert first == [ids(batch) for batch in plan().batches(0)]
    assert first != [ids(batch) for batch in plan(seed=1).batches(0)]
    assert len(first) == len(plan())


def test_two_processes_share_the_batches_of_one():
    whole = [sorted(ids(batch)) for batch in plan().batches(0)]
    shares = [list(plan(rank=rank, processes=2).batches(0)) for rank in (0, 1)]
    together = [sorted(ids(a) + ids(b)) for a, b in zip(*shares, strict=True)]
    assert together == whole


def test_a_batch_keeps_its_budget_of_tokens():
    budget = BatchBudget(100, max_batch_tokens=60, window_batches=1)
    sizes = [len(b) * max(len(r.input_ids) for r in b) for b in plan(budget=budget).batches(0)]
    assert max(sizes) <= 60
    assert len(sizes) > 1


def test_a_loader_goes_on_where_its_state_was_taken():
    processor = tiny_processor()
    loader = PlannedLoader(plan(), processor.collate)
    whole = [b.input_ids.tolist() for b in loader] + [b.input_ids.tolist() for b in loader]
    loader = PlannedLoader(plan(), processor.collate)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    again = PlannedLoader(plan(), processor.collate)
    again.load_state_dict(loader.state_dict())
    rest = [b.input_ids.tolist() for b in again] + [b.input_ids.tolist() for b in again]
    assert rest == whole[3:]


def test_workers_load_the_same_batches():
    processor = tiny_processor()
    alone = [b.pixels.sum().item() for b in PlannedLoader(plan(), processor.collate)]
    two = PlannedLoader(plan(), processor.collate, num_workers=2)
    assert [b.pixels.sum().item() for b in two] == alone


def test_weights_limits_and_replay_are_counted_exactly():
    mixed = [
        Mixed(Numbers("a", 10), weight=2.5),
        Mixed(Numbers("b", 100), limit=15),
        Mixed(Numbers("c", 7), replay=0.2),
    ]
    mixture = Mixture(mixed, seed=0)
    names = Counter(mixture.row(p)[0].id.split("-")[0] for p in mixture.order(0))
    assert names == {"a": 25, "b": 15, "c": 10}
    assert (mixture.order(0) == Mixture(mixed, seed=0).order(0)).all()
    assert (mixture.order(0) != mixture.order(1)).any()
    chosen = [{row for number, row in mixture.order(e).tolist() if number == 1} for e in (0, 1)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": 0}, "weight: got 0, allowed: above 0"),
        ({"limit": 0}, "limit: got 0, allowed: 1 or more"),
        ({"replay": 1.0}, "replay: got 1.0, allowed: 0 to below 1"),
    ],
)
def test_a_wrong_share_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixed(Numbers("a", 1), **arguments)


def test_replay_alone_is_no_mixture():
    with pytest.raises(ValueError, match="at least one source without replay"):
        Mixture([Mixed(Numbers("a", 1), replay=0.5)], seed=0)


def test_a_bad_row_names_itself_and_may_be_left_out():
    class Bad(Numbers):
        def rows(self, split):
            return [(Example("bad-0", (), source="bad", row=0),), *super().rows(split)]

    processor = tiny_processor()
    strict = TextData(processor, train=[Mixed(Bad("a", 3))])
    with pytest.raises(ValueError, match=r"bad row 0 \(bad-0\): got no turns"):
        list(strict.train_dataloader())
    policy = BadRows(malformed="skip")
    lenient = TextData(processor, train=[Mixed(Bad("a", 3))], bad_rows=policy)
    assert sum(len(b.input_ids) for b in lenient.train_dataloader()) == 3
    assert lenient.bad_rows.counts == {"malformed": 1}


def test_questions_about_one_image_share_a_sequence():
    known = {"task": "short_answer", "answers": ("red",), "images": tiny_examples(1)[0].images}
    row = tuple(Example(f"q{n}", (), question=f"what is {n} ?", **known) for n in ("one", "two"))
    composed = QAData(tiny_processor()).compose(row)
    assert [turn.text for turn in composed.turns] == [
        "<image>what is one ? answer.",
        "red",
        "what is two ? answer.",
        "red",
    ]
    assert len(composed.images) == 1
