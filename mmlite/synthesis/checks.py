"""What is wrong with a text that a teacher wrote, and what is worth counting."""

import re
from collections.abc import Collection, Iterable, Sequence

from mmlite.records import IMAGE_PLACEHOLDER
from mmlite.synthesis.rows import Pair
from mmlite.synthesis.spec import Checks
from mmlite.systems import Written

EMPTY = "empty"
CUT = "cut"
PLACEHOLDER = "placeholder"
TELLS_ANSWER = "tells_answer"
TELLS_QUESTION = "tells_question"

_ARTICLE = re.compile(r"^ (?:an?|the) (?=.)")

SHORTEST_QUESTION = 3
"""Fewest words of a question that is looked for in an info: fewer are said by chance."""

NO_LEAK = frozenset({"yes", "no"})
"""Answers that are no leak wherever they stand."""


def wrong_with(written: Written, text: str) -> str | None:
    """Return what is wrong with a text whatever it says, or None.

    Args:
        written: As the model wrote it.
        text: What is taken of it.
    """
    if not written.finished:
        return CUT
    if not text:
        return EMPTY
    return PLACEHOLDER if IMAGE_PLACEHOLDER in text else None


def words_of(text: str) -> str:
    """Return the words of a text in a form in which they can be found in another.

    >>> words_of("A red-nosed  DEER!")
    ' a red nosed deer '
    """
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])


def joined_info(infos: Iterable[str]) -> str:
    """Return the infos of a row's questions as one list.

    >>> joined_info(["the color of the snow.", "The color of the snow", "the headwear"])
    'the color of the snow, the headwear'
    """
    parts = (info.strip().rstrip(".,;").strip() for info in infos)
    distinct = {words_of(part): part for part in reversed([part for part in parts if part])}
    return ", ".join(reversed(distinct.values()))


def leak_of(info: str, pairs: Sequence[Pair], checks: Checks) -> tuple[str, str] | None:
    """Return what an info gives away, and its words; None if nothing.

    Args:
        info: Of a row.
        pairs: Its questions.
        checks: What is looked for.
    """
    if not checks.leaks:
        return None
    told = words_of(info)
    asked = [words_of(pair.question) for pair in pairs]
    for pair in pairs:
        for answer in comparable(pair.answers, checks):
            if answer in told and not any(answer in question for question in asked):
                return TELLS_ANSWER, answer.strip()
        for question in _sentences(pair.question):
            if question in told:
                return TELLS_QUESTION, question.strip()
    return None


def comparable(answers: Collection[str], checks: Checks) -> list[str]:
    """Return the words of the answers that mean something wherever they stand.

    >>> comparable(["A dog.", "yes", "7"], Checks())
    [' dog ']
    """
    found = [_ARTICLE.sub(" ", words_of(answer)) for answer in answers]
    return [
        words
        for words in found
        if words.strip() not in NO_LEAK
        and len(words.replace(" ", "")) >= checks.min_answer_characters
    ]


def _sentences(question: str) -> list[str]:
    """Return the words of a question's sentences, but for very short ones."""
    found = [words_of(part) for part in re.split(r"[?!\n]|\.\s", question)]
    return [words for words in found if len(words.split()) >= SHORTEST_QUESTION]


def num_statements(text: str) -> int:
    """Return how many statements a text has, one a line."""
    return sum(bool(line.strip()) for line in text.splitlines())


def holds_an_answer(description: str, pairs: Sequence[Pair], checks: Checks) -> bool | None:
    """Tell whether a description has an answer of its row in it; None: none can be looked for."""
    wanted = [answer for pair in pairs for answer in comparable(pair.answers, checks)]
    told = words_of(description)
    return any(answer in told for answer in wanted) if wanted else None
