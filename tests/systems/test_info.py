"""The info of a question: written once by a language model, and asked for by prompts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tiny import tiny_examples, tiny_processor

from data_modules import ExtractionData
from mmlite.generation import Decoding, Generation, Request
from mmlite.prompts import extraction_prompt, load_prompts
from mmlite.records import Example
from mmlite.systems import ModelPerceiver, PerceptionStore, QuestionInfo, StoredEngine
from mmlite.systems.info import read_info

PAPER = load_prompts("paper")
DECODING = Decoding(max_new_tokens=8)


@dataclass
class Scripted:
    """Writes what a script says, and notes what it was asked."""

    fingerprint = "scripted"
    script: Mapping[str, str]
    asked: list[str] = field(default_factory=list)

    def generate(self, requests, decoding, *, keep=None):
        self.asked += [request.turns[0].text for request in requests]
        made = [Generation(self._answer(request), (), True) for request in requests]
        if keep is not None:
            keep(dict(enumerate(made)))
        return made

    def request_key(self, request: Request) -> str:
        return request.turns[0].text

    def _answer(self, request: Request) -> str:
        text = request.turns[0].text
        return next((said for asked, said in self.script.items() if asked in text), "seen")


def asked_about(number: int, **more: Any) -> Example:
    (example,) = tiny_examples(1)
    return replace(example, id=f"q{number}", question=f"question {number} ?", row=number, **more)


def stored(engine: Scripted) -> StoredEngine:
    return StoredEngine(engine, fingerprint="scripted", store=PerceptionStore())  # type: ignore[arg-type]


def test_a_model_writes_the_info_that_is_not_known(caplog):
    script = {
        "question 1 ?": "<think>Contents to observe: x</think>\nContents to observe: the\n bars.",
        "question 2 ?": "Contents to observe: ",
    }
    engine = Scripted(script)
    rows = [asked_about(0, info="the sky"), asked_about(1), asked_about(2), asked_about(1)]
    done = QuestionInfo(stored(engine), PAPER, DECODING).complete(rows)
    assert [e.info for e in done] == ["the sky", "the bars.", "question 2 ?", "the bars."]
    assert "No info was written for 1 of 3 questions" in caplog.text
    assert engine.asked == [
        PAPER.render("question_info", question=f"question {n} ?") for n in (1, 2)
    ]


def test_a_perceiver_is_asked_for_the_info_and_not_by_the_question():
    info = QuestionInfo(stored(Scripted({"question 1 ?": "the bars"})), PAPER, DECODING)
    engine = Scripted({})
    extract = ModelPerceiver(stored(engine), PAPER, name="extract", size="x", decoding=DECODING)
    assert extract.perceive(info.complete([asked_about(1)])) == ["seen"]
    (text,) = engine.asked
    assert text.endswith("Especially, pay attention to the bars.")
    assert "question" not in text


def test_who_has_no_info_where_it_is_asked_for_is_named():
    row = asked_about(7, extraction="red .", place="q.json row 7")
    with pytest.raises(
        ValueError, match=r"q\.json row 7 \(q7\): got no info, which the prompt ext"
    ):
        extraction_prompt(PAPER, row)
    data = ExtractionData(tiny_processor(), prompts="paper")
    with pytest.raises(ValueError, match=r"row 7 \(q7\): got no info"):
        data.ask(row)
    user, answer, _ = data.ask(replace(row, info="the car"))
    assert (user.rpartition("attention to ")[2], answer) == ("the car.", "red .")
    assert extraction_prompt(load_prompts("micro"), row) == "question 7 ? look."


@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("the sky", "the sky"),
        ("", ""),
        ("Contents to observe:\nA, B", "A, B"),
        ("<think>Hm, Contents to observe: A", ""),
    ],
)
def test_reading_an_info(text, info):
    assert read_info(text) == info
