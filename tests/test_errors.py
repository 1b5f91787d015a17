"""Errors of single rows keep their kind wherever they go; a full disk names a file."""

import errno
import pickle

import pytest

from mmlite.cli.messages import readable
from mmlite.errors import RowError, writing


def test_an_error_keeps_its_kind_where_it_is_told_with_its_place():
    error = RowError.at("rows.json row 3", RowError("got nothing", "empty_answer"))
    assert (str(error), error.problem) == ("rows.json row 3: got nothing", "empty_answer")
    assert RowError.at("here", ValueError("got x")).problem == "malformed"


def test_an_error_keeps_its_kind_between_processes():
    again = pickle.loads(pickle.dumps(RowError("got 9 tokens", "too_long")))
    assert (str(again), again.problem) == ("got 9 tokens", "too_long")


def test_a_full_disk_names_the_file_it_did_not_take(tmp_path):
    inner, outer = tmp_path / "weights.safetensors", tmp_path
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space") as error, writing(outer), writing(inner):
        raise full
    assert readable(error.value).startswith(f"{inner}: No space left on device; check the path, ")
    with pytest.raises(OSError, match="No space") as error, writing(inner):
        raise RuntimeError("I/O error: No space left on device (os error 28)")  # of safetensors
    assert error.value.filename == str(inner)
    with pytest.raises(OSError, match="Bad file") as error, writing(inner):
        raise OSError(errno.EBADF, "Bad file descriptor")
    assert error.value.filename is None
    with pytest.raises(RuntimeError, match="another"), writing(inner):
        raise RuntimeError("another")
