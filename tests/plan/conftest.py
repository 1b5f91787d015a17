"""A tiny stage built for its shapes, and the same stage for real."""

import pytest
import torch
from tiny import tiny_examples, tiny_processor, tiny_stage


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture(scope="module")
def batch(processor):
    return processor.collate([processor.encode_example(e) for e in tiny_examples(6)])


@pytest.fixture
def stage(processor):
    return tiny_stage(processor=processor, optimizer=torch.optim.AdamW)
