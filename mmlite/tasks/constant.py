"""What the best constant answer is worth: the same text, whatever is shown and asked."""

from collections import Counter
from collections.abc import Iterable

from mmlite.records import Example
from mmlite.tasks.builtin import get_task
from mmlite.tasks.short_answer import normalize_answer


def best_constant_guess(examples: Iterable[Example]) -> dict[str, float]:
    """Return, per category, how often the best constant answer would be right.

    Answers are compared as tasks compare them, so that `yes` and `true` are one answer. Where
    there are options, a constant answer is a letter or the text of an option, whichever is right
    more often.

    >>> rows = [
    ...     Example(id=text, turns=(), task="yes_no", category="seen", answers=(text,))
    ...     for text in ("yes", "true", "no", "True")
    ... ]
    >>> best_constant_guess(rows)
    {'seen': 0.75}
    """
    asked: Counter[str] = Counter()
    right: dict[str, Counter[str]] = {}
    for example in examples:
        asked[example.category] += 1
        right.setdefault(example.category, Counter()).update(_right_answers(example))
    return {category: max(count.values()) / asked[category] for category, count in right.items()}


def _right_answers(example: Example) -> set[str]:
    """Return the answers that are right, each in one spelling."""
    task = get_task(example.task)
    golds = set(task.golds(example))
    if not example.choices:
        return golds
    texts = {normalize_answer(answer) for answer in example.answers}
    return golds | {text for text in texts if task.parse(text, example) in golds}
