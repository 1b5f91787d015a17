"""Errors of single rows keep their kind, on their way through sources and worker processes."""

import pickle

from mmlite.errors import RowError


def test_an_error_keeps_its_kind_where_it_is_told_with_its_place():
    error = RowError.at("rows.json row 3", RowError("got nothing", "empty_answer"))
    assert (str(error), error.problem) == ("rows.json row 3: got nothing", "empty_answer")
    assert RowError.at("here", ValueError("got x")).problem == "malformed"


def test_an_error_keeps_its_kind_between_processes():
    again = pickle.loads(pickle.dumps(RowError("got 9 tokens", "too_long")))
    assert (str(again), again.problem) == ("got 9 tokens", "too_long")
