"""Extract+Think in batches writes what transformers writes, one question after the other."""

from dataclasses import replace

import pytest

from benchmarks.extract_think import Lengths, compare
from benchmarks.training.shapes import TINY


@pytest.mark.filterwarnings("ignore")
def test_answers_are_those_of_generate():
    shape = replace(TINY, initializer_range=0.2)
    found = compare(shape, Lengths(12, 16, 24), questions=6, alone=6)
    assert found.equal == 1.0
    assert found.tokens > 10
    assert min(found.batched, found.alone) > 0
