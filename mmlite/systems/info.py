"""What of an image a question is about, without the question: the info of the paper's prompts.

A language model is asked once a question, before anything is seen (arXiv:2511.17487, sec. 6 and
supplement, figure A5; the wording is that of Prism, arXiv:2406.14544).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from mmlite.generation import Decoding, Request
from mmlite.prompts import PromptSet
from mmlite.records import Example, Turn
from mmlite.systems.store import StoredEngine
from mmlite.tasks import without_thought

_log = logging.getLogger(__name__)

_MARK = "Contents to observe:"


class QuestionInfo:
    """Lets a language model write the info of Examples that have none.

    Args:
        engine: Of the model.
        prompts: Where the prompt `question_info` comes from.
        decoding: How it writes.
    """

    def __init__(self, engine: StoredEngine, prompts: PromptSet, decoding: Decoding) -> None:
        self.engine = engine
        self.prompts = prompts
        self.decoding = decoding

    def complete(self, examples: Sequence[Example]) -> list[Example]:
        """Return Examples that all have an info.

        Where the model writes nothing that can be taken, the question itself stands for it.
        """
        lacking = [example for example in examples if not example.info]
        requests = [
            Request((Turn("user", self.prompts.render("question_info", question=e.question)),))
            for e in lacking
        ]
        asked = self.engine.ask(requests, self.decoding)
        written = [read_info(one.text) if one.finished else "" for one in asked]
        if empty := sum(not info for info in written):
            _log.warning("No info was written for %d of %d questions", empty, len(written))
        infos = iter(written)
        return [e if e.info else replace(e, info=next(infos) or e.question) for e in examples]


def read_info(text: str) -> str:
    """Return the info that a model wrote: what stands behind its thought and the mark.

    >>> read_info("<think>A bar.</think>Contents to observe: the heights of all bars. ")
    'the heights of all bars.'
    """
    return " ".join(without_thought(text).rpartition(_MARK)[2].split())
