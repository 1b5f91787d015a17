"""Finding the answer in what a model wrote, before a task reads it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_MARK = re.compile(r"(?i)\banswer\s*[:\uff1a]")
_ANSWER_IS = re.compile(r"(?i)\banswer\s+is\b\s*[:\uff1a]?")
_TAGGED = re.compile(r"(?is)<answer>(.*?)</answer>")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_END_MARKS = " \t\n*_`$\"'\u2018\u2019\u201c\u201d"

_LETTER = r"(?:(?i:option|choice)\s*:?\s*\(?[A-Za-z]\b\)?|\([A-Za-z]\)|\b[A-HJ-Z]\b(?!')[.)]?)"
_LETTERS = rf"{_LETTER}(?:\s*(?:,|/|\bn?or\b|\band\b)\s*{_LETTER})*"
_NOT = r"(?:\b(?i:not|never|cannot|neither)\b|n['\u2019]t\b)"
_BUT = r"\b(?i:(?:any|every)thing but|all but|except|(?:other|rather) than|instead of|unlike)\b"
_DENIED = (
    re.compile(rf"(?:{_NOT}(?:\s+(?!(?:because|since|so|but)\b)\w+){{0,4}}?|{_BUT})\s+{_LETTERS}"),
    re.compile(r"(?i)\bnot\s+(?:(?:option|choice)\s+)?\(?[a-z]\b\)?"),
    re.compile(
        rf"{_LETTERS}\s+(?:is|are|was|were|seems?|looks?|(?:can|must) be)\s+(?:\w+\s+){{0,2}}?"
        r"(?:wrong|incorrect|false|excluded|eliminated|ruled out|impossible|unlikely)\b"
    ),
    re.compile(
        rf"{_LETTERS}\s+(?:\w+\s+){{0,2}}?\w*{_NOT}\s+(?:\w+\s+){{0,3}}?"
        r"(?:right|correct|true|best|answer)\b"
    ),
)
_SEVERAL = re.compile(r"\b([A-Z])\)?\s*(?:\bor\b|\band\b|[,/&])\s*\(?([A-Z])\b(?!')")
_ONLY_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[\"'\u2019\u201d]?[.:,;!]?")
_NAMED = re.compile(
    r"\b(?i:option|choice)\s*:?\s*\(?([A-Za-z])\b|\(([A-Za-z])\)"
    r"|\b([B-HJ-Z]|A(?=\s*(?:$|[.,;:!?)]|is\b)))\b(?!')"
)
_LETTER_AT_END = re.compile(r"(?:\b(?i:option|choice)\s*:?\s*\(?|\()([A-Za-z])\)?[.:;!]?$")
_LETTER_SAID_RIGHT = re.compile(r"\b([A-Z])\)?\s+is\s+(?:the\s+)?(?:correct|right|best)\b")
_LETTER_IN_MARKED = (
    re.compile(r"\(([A-Za-z])\)"),
    re.compile(r"\b(?i:option|choice)\s*:?\s*\(?([A-Z]\b|[a-z](?=\)|[.,;:]))"),
    re.compile(r"\b([A-Z])[.):]\s"),
    re.compile(r"^([a-z])[.):]\s"),
    re.compile(r"^([A-Z])\s*(?:[,;]|-\s|because\b|since\b)"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of a model's text that is its answer.

    Attributes:
        text: One line, without bold marks, quotes and math around it.
        marked: Whether the model said that it is the answer (`Answer:`, `the answer is`,
            a box), or it is only the last line. Tasks read unmarked lines more strictly.
    """

    text: str
    marked: bool

    @property
    def one_sentence(self) -> bool:
        """Whether no sentence ends inside the text."""
        return re.search(r"[.;?!]\s", self.text) is None


def find_answer(text: str) -> Answer | None:
    """Find the answer in a text.

    What was written while thinking (up to `</think>`) is left out, and a thought that never
    ended holds no answer. In what is left, the first of these counts: what follows the last
    `Answer:` of any case, on its line or, if nothing follows there, on the next one, or stands
    in `<answer>` tags; the last box; what follows `answer is` in the last line; the last line.

    Args:
        text: All that the model wrote.

    Returns:
        The answer, or None if nothing is there.
    """
    lines = [line for line in _plain_lines(text) if line]
    if not lines:
        return None
    marks = [number for number, line in enumerate(lines) if _MARK.search(line)]
    if marks:
        rest = _after(_MARK, lines[marks[-1]])
        following = lines[marks[-1] + 1 :][:1]
        return _answer(rest or "".join(following), marked=True)
    boxes = _BOXED.findall("\n".join(lines))
    if boxes:
        return _answer(boxes[-1], marked=True)
    return _answer(lines[-1], marked=_ANSWER_IS.search(lines[-1]) is not None)


def read_answer(
    text: str,
    *,
    read: Callable[[Answer], str | None],
    bare: Callable[[str], str | None],
    named: Callable[[str], Iterable[str | None]] | None = None,
) -> str | None:
    """Read the answer that `find_answer` finds, or the one that is the first line.

    A first line that is nothing but an answer counts, if nothing after it is marked and what
    follows, sentence by sentence, names no other answer.

    Args:
        text: All that the model wrote.
        read: Reads an answer that was found.
        bare: Reads a line that is nothing but an answer; None if it is anything else.
        named: Returns the answers that a sentence names; what `read` makes of it, if left out.

    Returns:
        The answer, or None if it is unreadable.
    """
    answer = find_answer(text)
    found = read(answer) if answer else None
    first, *others = [line for line in _plain_lines(text) if line] or [""]
    stated = bare(first.strip(_END_MARKS))
    if answer is None or answer.marked or stated is None or not others:
        return found
    seen = {found, stated}
    for sentence in re.split(r"(?<=[.;?!])\s+|\n", "\n".join(others)):
        seen.update(named(sentence) if named else [read(Answer(sentence, marked=True))])
    return stated if seen <= {stated, None} else None


def without_thought(text: str) -> str:
    """Return what a model said behind its thought; nothing if the thought never ended.

    >>> without_thought("<think>Hm.</think> A cat sits."), without_thought("<think>A cat, or")
    (' A cat sits.', '')
    """
    text = text.rpartition("</think>")[2]
    return "" if "<think>" in text else text


def _plain_lines(text: str) -> list[str]:
    text = without_thought(text)
    text = _TAGGED.sub(lambda tagged: f"\nAnswer: {' '.join(tagged[1].split())}\n", text)
    text = _TEXT_COMMAND.sub(r"\1", text).replace("**", "").replace("__", "")
    return [line.strip() for line in text.splitlines()]


def _after(pattern: re.Pattern[str], line: str) -> str:
    ends = [match.end() for match in pattern.finditer(line)]
    return line[ends[-1] :].strip(_END_MARKS) if ends else line


def _answer(line: str, *, marked: bool) -> Answer | None:
    boxes = _BOXED.findall(line)
    text = _after(_ANSWER_IS, boxes[-1] if boxes else line).strip(_END_MARKS)
    return Answer(text, marked) if text else None


def read_letter(answer: Answer, num_letters: int) -> str | None:
    """Read an option's letter, such as in `B`, `(b)`, `option b`, `B. blue`, `B is correct`.

    A word that merely begins with a letter is none (`Based on ...`), nor is an article
    (`A dog`), nor a letter that is denied (`not A`, `A is wrong`). Two different letters are
    unreadable. An unmarked line has to be the letter, end in it, or say that it is correct:
    `B. blue` may be an item of a list.

    Args:
        answer: Where to read.
        num_letters: How many options there are; letters beyond them are none.

    Returns:
        The letter in upper case, or None.
    """
    letters = LETTERS[:num_letters]
    text = _without_denied(answer.text)
    if _ONLY_LETTER.fullmatch(text):
        return only_letter(text, num_letters)
    several = _SEVERAL.search(text)
    if several and set(several.groups()) <= set(letters):
        return None
    patterns = (_LETTER_AT_END, _LETTER_SAID_RIGHT, *(_LETTER_IN_MARKED if answer.marked else ()))
    found = {letter.upper() for pattern in patterns for letter in pattern.findall(text)}
    found.intersection_update(letters)
    return found.pop() if len(found) == 1 else None


def only_letter(text: str, num_letters: int) -> str | None:
    """Return the option's letter that a text is, in upper case; None if it is anything else."""
    only = _ONLY_LETTER.fullmatch(text)
    return only[1].upper() if only and only[1].upper() in LETTERS[:num_letters] else None


def named_letters(text: str, num_letters: int) -> set[str]:
    """Return the options' letters that a sentence names without denying them."""
    found = {
        letter.upper() for groups in _NAMED.findall(_without_denied(text)) for letter in groups
    }
    return found.intersection(LETTERS[:num_letters])


def _without_denied(text: str) -> str:
    for denied in _DENIED:
        text = denied.sub("", text)
    return text.strip()
