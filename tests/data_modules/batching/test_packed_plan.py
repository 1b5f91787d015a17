"""Packed plans: nothing lost, nothing too long, nearly full; resumed at any batch."""

from itertools import pairwise

import numpy as np
import pytest
from tiny import tiny_examples, tiny_processor

from data_modules.batching import BatchBudget, BatchPlan, PlannedLoader, Position
from data_modules.batching.budget import pack_by
from mmlite.batch import IGNORE_INDEX
from mmlite.processor import Encoded

NUMBER = 61
PACKED = BatchBudget(2, pack_tokens=48, window_batches=2)
PADDED = BatchBudget(12, max_batch_tokens=60, window_batches=1)


def plan(*, budget=PACKED, rank=0, processes=1, seed=0, encode=None):
    """Places are numbers, so that what is encoded can be counted."""
    examples = tiny_examples(NUMBER)
    processor = tiny_processor()
    return BatchPlan(
        lambda epoch: np.random.default_rng([7, epoch]).permutation(NUMBER),
        encode or (lambda place: processor.encode_example(examples[place])),
        size=NUMBER,
        budget=budget,
        shuffle_seed=seed,
        rank=rank,
        processes=processes,
    )


def ids(planned):
    return [row.example.id for row in planned.rows if row.example is not None]


def test_packed_rows_hold_every_example_once_and_keep_their_capacity():
    batches = list(plan().planned(Position()))
    assert sorted(i for p in batches for i in ids(p)) == sorted(e.id for e in tiny_examples(NUMBER))
    fills = []
    for planned in batches:
        assert planned.sizes is not None
        assert sum(planned.sizes) == len(planned.rows)
        assert len(planned.sizes) <= 2
        start = 0
        for size in planned.sizes:
            fills.append(sum(len(r.input_ids) for r in planned.rows[start : start + size]))
            start += size
    assert max(fills) <= 48
    assert sum(fills[:-2]) / (48 * len(fills[:-2])) > 0.95
    assert len({len(planned.sizes or ()) for planned in batches[:-1]}) == 1


def test_no_row_but_an_epochs_last_is_nearly_empty():
    budget = BatchBudget(1, pack_tokens=96, window_batches=3)
    planned = list(plan(budget=budget).planned(Position()))
    emptiest, *others = sorted(sum(len(row.input_ids) for row in each.rows) for each in planned)
    assert len(others) > 2 * budget.window_batches  # windows end within the epoch
    assert emptiest < 0.7 * 96 < 0.9 * 96 < min(others)


@pytest.mark.parametrize("budget", [PACKED, PADDED], ids=["packed", "padded"])
def test_two_processes_share_the_batches_of_one(budget):
    if budget is PACKED:  # as many rows in all
        one = plan(budget=BatchBudget(4, pack_tokens=48, window_batches=2))
    else:
        one = plan(budget=budget, processes=1)
        two = [list(plan(budget=budget, rank=r, processes=2).planned(Position())) for r in (0, 1)]
        assert len(two[0]) == len(two[1])
        assert sorted(i for part in two for p in part for i in ids(p)) == sorted(
            i for p in one.planned(Position()) for i in ids(p)
        )
        return
    shares = [list(plan(rank=r, processes=2).planned(Position())) for r in (0, 1)]
    together = [sorted(ids(a) + ids(b)) for a, b in zip(*shares, strict=True)]
    assert together == [sorted(ids(p)) for p in one.planned(Position())]


@pytest.mark.parametrize("budget", [PACKED, PADDED, BatchBudget(4, window_batches=2)])
def test_a_plan_goes_on_after_any_batch_without_reading_what_came_before(budget):
    whole = [p for epoch in (0, 1) for p in plan(budget=budget).planned(Position(epoch))]
    assert whole[-1].after == Position(2)
    encoded = []
    examples, processor = tiny_examples(NUMBER), tiny_processor()

    def encode(place: int) -> Encoded:
        encoded.append(place)
        return processor.encode_example(examples[place])

    counts = []
    for number, planned in enumerate(whole):
        encoded.clear()
        again = plan(budget=budget, encode=encode)
        at = Position.from_json(planned.after.to_json())
        rest = [
            ids(p)
            for e in range(at.epoch, 2)
            for p in again.planned(at if e == at.epoch else Position(e))
        ]
        assert rest == [ids(p) for p in whole[number + 1 :]]
        counts.append(len(encoded))
    assert counts == sorted(counts, reverse=True)
    assert counts[-2] <= NUMBER // 2 + 10


@pytest.mark.parametrize("budget", [PACKED, BatchBudget(4, window_batches=4)])
def test_a_window_is_encoded_while_the_one_before_is_trained_on(budget):
    examples, processor = tiny_examples(NUMBER), tiny_processor()
    encoded, rows, between = 0, 0, []

    def encode(place: int) -> Encoded:
        nonlocal encoded
        encoded += 1
        return processor.encode_example(examples[place])

    for planned in plan(budget=budget, encode=encode).planned(Position()):
        rows += len(planned.rows)
        between.append((encoded, rows))
    first_window = between[0][0]
    for (before, _), (now, _) in pairwise(between):
        assert now - before <= first_window / 2
    assert encoded == rows == NUMBER


def test_a_packed_loader_goes_on_where_its_state_was_taken():
    processor = tiny_processor()

    def loader(workers: int = 0) -> PlannedLoader:
        pad_id = processor.pad_id
        return PlannedLoader(plan(), processor.collate, pad_id=pad_id, num_workers=workers)

    def two_epochs(loaded: PlannedLoader) -> list[list[list[int]]]:
        return [batch.input_ids.tolist() for _ in range(2) for batch in loaded]

    whole = two_epochs(loader())
    second = loader()
    iterator = iter(second)
    for _ in range(4):  # without a length, one batch is always ahead
        next(iterator)
    again = loader(workers=1)
    again.load_state_dict(second.state_dict())
    assert two_epochs(again)[: len(whole) - 3] == whole[3:]


@pytest.mark.parametrize("packed", [False, True])
def test_rows_are_padded_to_a_multiple_within_the_budget(packed):
    processor, limit = tiny_processor(), 64
    kind = {"pack_tokens": limit} if packed else {"max_batch_tokens": limit}
    budget = BatchBudget(4, window_batches=2, pad_multiple=16, **kind)
    loader = PlannedLoader(plan(budget=budget), processor.collate, pad_id=processor.pad_id)
    seen = 0
    for batch in loader:
        rows, length = batch.input_ids.shape
        assert length % 16 == 0
        assert packed or rows == 1 or rows * length <= limit
        assert batch.attention_mask[:, -16:].any()  # no more than to the next multiple
        assert batch.labels[~batch.attention_mask].eq(IGNORE_INDEX).all()
        seen += batch.num_tokens
    plain = PlannedLoader(plan(budget=PADDED), processor.collate)
    assert seen == sum(batch.num_tokens for batch in plain)


def test_a_bad_row_of_the_next_window_is_told_when_that_is_due():
    examples, processor = tiny_examples(NUMBER), tiny_processor()

    def encode(place: int) -> Encoded:
        if place == bad:
            raise ValueError("row is bad")
        return processor.encode_example(examples[place])

    budget, whole = BatchBudget(4, window_batches=3), plan()
    bad = whole.places(0)[30]  # in the third window of twelve
    planned = plan(budget=budget, encode=encode).planned(Position())
    assert sum(len(next(planned).rows) for _ in range(5)) == 20
    with pytest.raises(ValueError, match="row is bad"):
        list(planned)


@pytest.mark.timeout(60)
def test_examples_longer_than_their_rows_fill_batches_too():
    """A window is full when its rows are, however many tokens they have."""
    rows = [Encoded((number,) * 30, (number,) * 30, ()) for number in range(7)]
    long = BatchPlan(
        lambda epoch: range(7),
        rows.__getitem__,
        size=7,
        budget=BatchBudget(4, pack_tokens=8, window_batches=1),
    )
    batches = [planned.rows for planned in long.planned(Position())]
    assert [len(batch) for batch in batches] == [4, 3]
    assert sorted(row.input_ids[0] for batch in batches for row in batch) == list(range(7))


def test_items_are_packed_into_few_rows():
    sizes = [7, 5, 5, 4, 3, 3, 2, 1, 12]
    rows = pack_by(lambda size: size, sizes, 10)
    assert sorted(map(sorted, rows)) == [[1, 2, 3, 4], [3, 7], [5, 5], [12]]
    assert [sum(row) for row in rows] == [12, 10, 10, 10]
    assert pack_by(len, [], 10) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pack_tokens": 0}, r"data\.budget\.pack_tokens: got 0, allowed: 1 or more"),
        (
            {"pack_tokens": 9, "max_batch_tokens": 9},
            "got max_batch_tokens 9 and pack_tokens 9, allowed: one of them",
        ),
        ({"pad_multiple": 0}, r"data\.budget\.pad_multiple: got 0, allowed: 1 or more"),
        (
            {"max_batch_tokens": 100, "pad_multiple": 128},
            "got pad_multiple 128 and max_batch_tokens 100, allowed: a multiple of at most",
        ),
        (
            {"pack_tokens": 100, "pad_multiple": 64},
            "got pack_tokens 100 and pad_multiple 64, allowed: pack_tokens that are a multiple",
        ),
    ],
)
def test_a_wrong_budget_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchBudget(**arguments)
