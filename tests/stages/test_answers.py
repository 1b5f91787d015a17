"""Predictions: one for each row that is asked for, or an error that says why there is none."""

from dataclasses import replace

import pytest
from tiny import tiny_examples, tiny_processor, tiny_stage
from torch import nn

from mmlite.generation import Decoding
from mmlite.stages.answers import why_none
from mmlite.tasks import normalize_answer

DECODING = Decoding(max_new_tokens=2)


def batch_of(examples):
    processor = tiny_processor()
    return processor.collate([processor.encode_example(example) for example in examples])


def built(**arguments):
    stage = tiny_stage(**arguments)
    stage.configure_model()
    return stage.eval()


def test_each_row_has_a_prediction():
    examples = tiny_examples(3)
    made = built(decoding=DECODING).predict_step(batch_of(examples), 0)
    assert [prediction.id for prediction in made] == [example.id for example in examples]
    assert [one.gold for one in made] == [(normalize_answer(e.answers[0]),) for e in examples]


def test_a_row_that_nothing_scores_stops_predictions():
    examples = tiny_examples(3)
    examples[1] = replace(examples[1], task="", place="q.json row 1")
    stage, batch = built(decoding=DECODING), batch_of(examples)
    with pytest.raises(ValueError, match=r"q\.json row 1 \(tiny-1\): got no task.*give the source"):
        stage.predict_step(batch, 0)
    assert len(stage._answer(batch)) == 2  # while it is validated, others are scored


def test_a_stage_that_writes_no_answers_predicts_none():
    with pytest.raises(ValueError, match="decoding: got null, allowed: how answers are written"):
        built(decoding=None).predict_step(batch_of(tiny_examples(1)), 0)
    model = built().built
    assert why_none(model, DECODING, is_sharded=False) is None
    assert "leave the sharding overlay out" in str(why_none(model, DECODING, is_sharded=True))
    told = why_none(nn.Linear(1, 1), DECODING, is_sharded=False)
    assert told is not None
    assert told.startswith("model: got a Linear, which writes no text")
