"""What is imported for good is not looked through for garbage, and collecting goes on after it."""

import gc

import pytest

from mmlite.training.imports import imported_for_good


@pytest.fixture(autouse=True)
def collecting():
    gc.enable()
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_was_made_is_left_alone_later():
    with imported_for_good():
        assert not gc.isenabled()
        made = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert not any(held is made for held in gc.get_objects())
    assert gc.get_freeze_count() >= 1000


def test_where_collecting_was_off_or_an_import_fails_it_is_left_as_it_was():
    gc.disable()
    with imported_for_good():
        pass
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ImportError), imported_for_good():
        raise ImportError
    assert gc.isenabled()
