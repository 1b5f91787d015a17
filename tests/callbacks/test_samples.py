"""The panel of samples: which ones, as text and as a picture."""

import numpy as np
import pytest
from lightning import Trainer
from tiny_runs import answered, events, fit

from callbacks import SamplePanel
from callbacks.panel import asked, draw, verdict
from callbacks.samples import samples_text
from mmlite.stages.answers import Answered


def shown(panel, rows):
    trainer = Trainer.__new__(Trainer)
    for row in rows:
        panel.on_validation_batch_end(trainer, None, {"answered": [answered(row)]}, None, 0)
    return [sample.example.id for sample in panel.samples()]


def test_samples_come_from_every_category():
    # Rows 0, 3, 6 count; 1 locates; 2 is a fact.
    assert shown(SamplePanel(4), [0, 3, 6, 1, 2]) == ["q0", "q2", "q1", "q3"]
    assert shown(SamplePanel(2), [0, 3, 6, 1, 2]) == ["q0", "q2"]
    assert shown(SamplePanel(9), [0, 3, 6, 1, 2]) == ["q0", "q2", "q1", "q3", "q6"]


def test_every_validation_shows_the_same_samples(tmp_path):
    fit([SamplePanel(3)], tmp_path)
    log = events(tmp_path)
    assert [event.step for event in log.Images("samples")] == [2, 4]
    first, last = (
        e.tensor_proto.string_val[0].decode() for e in log.Tensors("samples/text_summary")
    )
    for text in (first, last):
        assert [f"q{row}" in text for row in range(4)] == [True, True, True, False]


def test_a_panel_may_be_rarer_than_validations(tmp_path):
    fit([SamplePanel(2, every_n_validations=2)], tmp_path)
    assert [event.step for event in events(tmp_path).Images("samples")] == [2]


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (answered(0), "right"),
        (answered(0, score=0.0), "wrong"),
        (answered(0, score=0.5), "wrong: score 0.50"),
        (answered(0, score=0.0, parsed=None), "wrong: unreadable"),
    ],
)
def test_the_verdict_is_told_in_words(sample, words):
    assert verdict(sample) == words
    assert f"| verdict | {words} |" in samples_text([sample])


def test_what_models_write_cannot_break_out_of_the_table():
    text = "a|b <script>alert(1)</script>\n# title *bold* `x` [y](http://z) $x$ &amp; \\"
    example = answered(0).example
    written = samples_text([Answered(example, "red", text, None, 0.0)])
    line = next(line for line in written.splitlines() if line.startswith("| written"))
    cell = line.removeprefix("| written | ").removesuffix(" |")
    assert not set(cell) & set("|<>*`[]$\\_\n")
    assert "&#124;" in cell
    assert "&#60;script&#62;" in cell


def test_the_prompt_stands_in_for_a_missing_question():
    assert asked(answered(0, question="")) == "what is ?"
    assert asked(answered(0, question="how many?")) == "how many?"


def test_right_and_wrong_are_drawn_differently():
    right, wrong = draw([answered(0)]), draw([answered(0, score=0.0)])
    assert right.shape == wrong.shape == (220, 640, 3)
    assert right.dtype == np.uint8
    green, red = (27, 120, 55), (178, 24, 43)
    assert (right == green).all(-1).any()
    assert not (right == red).all(-1).any()
    assert (wrong == red).all(-1).any()


def test_a_picture_of_each_sample_is_drawn():
    picture = draw([answered(row) for row in range(3)])
    assert picture.shape == (440, 1280, 3)
    # The second row has one sample; the rest of it stays empty.
    assert (picture[220:, 640:] == 255).all()
    assert len(np.unique(picture[30:180, 30:180].reshape(-1, 3), axis=0)) > 20


def test_wide_texts_do_not_run_into_the_next_sample():
    wide = Answered(answered(2).example, "red", "W" * 150, "W", 0.0)
    alone = draw([answered(0)])
    beside = draw([wide, answered(0)])
    assert (beside[:, 640:] == alone).all()


@pytest.mark.parametrize(
    "text", ["$x^$ $", "\x00\x1b[31m", "\u6f22\u5b57", "long " * 500, "w" * 999]
)
def test_any_text_can_be_drawn(text):
    example = answered(2).example
    assert draw([Answered(example, "red", text, text, 0.0)]).shape == (220, 640, 3)


def test_a_sanity_check_shows_nothing(tmp_path):
    fit([SamplePanel()], tmp_path, max_steps=1, num_sanity_val_steps=2)
    assert events(tmp_path).Tags()["images"] == []


def test_a_panel_needs_samples():
    with pytest.raises(ValueError, match=r"SamplePanel.num_samples: got 0, allowed: 1 or more"):
        SamplePanel(num_samples=0)
    with pytest.raises(ValueError, match=r"SamplePanel.every_n_validations: got -1"):
        SamplePanel(every_n_validations=-1)
