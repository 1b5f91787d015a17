"""Records survive JSON, keys follow content, bad records are refused."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlite.records import ROLES, Example, ImageRef, Prediction, Turn, content_key

REPEATABLE = settings(derandomize=True, deadline=None)
TEXT = st.text(max_size=8)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
JSON = st.dictionaries(TEXT, st.integers() | TEXT | st.lists(st.booleans(), max_size=2), max_size=3)
SCENES = st.none() | JSON

turns = st.builds(Turn, role=st.sampled_from(ROLES), text=TEXT, trained=st.booleans())
images = st.one_of(
    st.builds(ImageRef, path=TEXT),
    st.builds(ImageRef, data=st.binary(max_size=8)),
    st.builds(ImageRef, scene=JSON),
    st.builds(ImageRef, path=TEXT, span=st.tuples(st.integers(0), st.integers(0))),
)
examples = st.builds(
    Example,
    id=TEXT,
    turns=st.lists(turns, max_size=3).map(tuple),
    images=st.lists(images, max_size=3).map(tuple),
    task=TEXT,
    question=TEXT,
    category=TEXT,
    group=TEXT,
    choices=TEXTS,
    answers=TEXTS,
    extraction=st.none() | TEXT,
    caption=st.none() | TEXT,
    scene=SCENES,
    source=TEXT,
    row=st.integers(min_value=0),
)
predictions = st.builds(
    Prediction,
    **dict.fromkeys(
        ["id", "system", "perceiver", "perceiver_size", "reasoner", "reasoner_size"], TEXT
    ),
    **dict.fromkeys(["category", "group", "question", "output"], TEXT),
    seed=st.integers(),
    gold=TEXTS,
    parsed=st.none() | TEXT,
    correct=st.booleans(),
    extraction=st.none() | TEXT,
    scene=SCENES,
    facts=st.none() | st.dictionaries(TEXT, st.integers(), max_size=3),
)


@REPEATABLE
@given(st.one_of(turns, images, examples, predictions))
def test_json_round_trip(record):
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


@REPEATABLE
@given(examples)
def test_json_names_every_field_but_where_it_was_read(example):
    names = {field.name for field in dataclasses.fields(Example)}
    assert set(example.to_json()) == names - {"place"}


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Turn("user", "hi").text = "ho"  # pyright: ignore[reportAttributeAccessIssue]


def test_turn_refuses_an_unknown_role():
    with pytest.raises(ValueError, match=r"Turn\.role: got 'bot', allowed: system, user, assist"):
        Turn("bot", "hi")  # pyright: ignore[reportArgumentType]


def test_image_is_exactly_one_thing():
    with pytest.raises(ValueError, match="ImageRef: got nothing, allowed: exactly one of path"):
        ImageRef()
    with pytest.raises(ValueError, match=r"ImageRef: got \['path', 'data'\], allowed: exactly"):
        ImageRef(path="a.png", data=b"x")
    with pytest.raises(ValueError, match=r"ImageRef\.span: got \(0, 1\) without a path"):
        ImageRef(data=b"x", span=(0, 1))


def test_content_key_is_stable():
    assert content_key("a", 1) == content_key("a", 1)
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert len(content_key()) == 32
    assert content_key("prompt", b"image", {"max_new_tokens": 8}) == content_key(
        "prompt", b"image", {"max_new_tokens": 8}
    )


def test_content_key_changes_with_content():
    parts = [
        (),
        ("",),
        ("", ""),
        ("ab",),
        ("a", "b"),
        ("b", "a"),
        ("abc",),
        (b"ab",),
        (["a", "b"],),
        (1,),
        ("1",),
        (1.5,),
        (True,),
        (None,),
        ({"a": 1},),
        ({"a": 2},),
    ]
    assert len({content_key(*part) for part in parts}) == len(parts)


@REPEATABLE
@given(st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_content_keys_of_texts_are_equal_only_for_equal_texts(one, other):
    assert (content_key(*one) == content_key(*other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("choices", "ab", "a list of texts"),
        ("answers", [None], "a list of texts"),
        ("caption", 1, "a text or null"),
        ("scene", [], "an object or null"),
        ("row", "1", "a whole number"),
        ("question", None, "a text"),
        ("turns", {}, "a list"),
    ],
)
def test_an_example_of_other_kinds_of_values_is_refused(name, value, allowed):
    with pytest.raises(ValueError, match=rf"{name}: got .*, allowed: {allowed}"):
        Example.from_json({**Example("a", ()).to_json(), name: value})
