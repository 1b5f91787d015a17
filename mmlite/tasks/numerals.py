"""Numbers in words and in digits."""

import re
from decimal import Decimal

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_COMPOUND = rf"({'|'.join(_TENS)})[- ]({'|'.join(_UNITS[1:10])})"
_WORDS = re.compile(rf"(?i)(?<![\w-])(?:{_COMPOUND}|({'|'.join(_VALUES)}))(?![\w-])")
_DIGITS = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"(?<![\w.,])[-+]?(?:{_DIGITS})(?![\w])(?![.,]\d)")

_DASH = re.compile(r"[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_MINUS = re.compile(r"(?i)\b(?:minus|negative)\s+(?=\.?\d)")

_ONE = re.compile(r"(?:([a-z']+)\s+)?(?<![\w-])one(?![\w-])(\s+(?:can|could|may|might)(?:not)?\b)?")
_BEFORE_ONE = frozenset(
    (
        *("is", "are", "was", "were", "be", "it's", "there's", "has", "have", "see", "count"),
        *("contain", "contains", "show", "shows", "equals", "to", "of", "total", "only", "just"),
        *("exactly", "about", "and", "or", "plus", "minus", "negative", *_TENS),
    )
)
"""Words after which `one` is a number; in `no one` and `the red one` it is none."""

_BOUND = re.compile(r"[<>\u00b1\u2260\u2264\u2265]|!=")
_ANOTHER_VALUE = re.compile(
    r"""(?ix)
    \b (?: hundred | thousand | million | billion | trillion | dozen | hal[fv] | quarter )
    | \b (?: squared | cubed | root ) \b | \b point \s+ \d
    | \d \s+ (?: third | fourth | fifth | sixth | seventh | eighth | ninth | tenth ) s? \b
    | [\u00bc-\u00be\u2150-\u215e] | \\[a-z]        # fractions, and commands of LaTeX
    | \b (?: minus | negative ) \b | - (?: \s+ | [-+] ) \.?\d      # a minus apart from its number
    | [a-z] - \d | \d - [a-z] | \d \s* \+
    | \d \s* (?: [-*/x:^\u00d7\u00f7\u00b7] | and | plus | times | point | over | to | by
        | divided \s by ) \s* [-+]? \d                # sums, ratios
    | \d \s+ \d{3} (?! \d )                           # digits in groups
    | (?: \b than | \b at \s (?: least | most ) | \b (?: over | under | above | below ) )
        \s+ [-+]? \.?\d
    | \d \s+ or \s+ (?: more | less | fewer )
    | (?: \b (?: not | never | cannot | neither | nor | without ) | n['\u2019]t ) \b [^.,;:]* \d
    """
)


def words_to_digits(text: str) -> str:
    """Write number words from zero to ninety-nine as digits: `twenty-one cats` is `21 cats`."""
    return _WORDS.sub(_as_digits, text)


def _as_digits(match: re.Match[str]) -> str:
    tens, unit, word = match.groups()
    if word:
        return str(_VALUES[word.lower()])
    return str(_VALUES[tens.lower()] + _VALUES[unit.lower()])


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text in one spelling: `007`, `7.0` and `seven` are all `7`."""
    return [_spell(number) for number in _NUMBER.findall(words_to_digits(text))]


def only_number(text: str) -> str | None:
    """Return the number that a text is, in one spelling; None if it is anything else."""
    digits = _with_signs(text)
    return _spell(digits) if _NUMBER.fullmatch(digits) else None


def stated_number(text: str) -> str | None:
    """Return the one number that a text with other words states; None if there is no such.

    Of an equation the right side counts. A number that other words make another one is none:
    `one hundred`, `one and a half`, `5 + 5`, `not 5`, `more than 5`.

    >>> stated_number("There are five shapes"), stated_number("2 + 3 = 5")
    ('5', '5')
    >>> stated_number("It is minus 5"), stated_number("2 million"), stated_number("no one")
    ('-5', None, None)
    """
    stated = text.rpartition("=")[2]
    ones = [match.groups() for match in _ONE.finditer(stated.lower())]
    if any(follows or (before and before not in _BEFORE_ONE) for before, follows in ones):
        return None
    stated = _with_signs(stated)
    if _BOUND.search(text) or _ANOTHER_VALUE.search(stated):
        return None
    numbers = set(numbers_in(stated))
    return numbers.pop() if len(numbers) == 1 else None


def _with_signs(text: str) -> str:
    """Write number words as digits, and every minus before a number as `-`."""
    return _MINUS.sub("-", words_to_digits(_DASH.sub("-", text)))


def _spell(number: str) -> str:
    value = Decimal(number.replace(",", ""))
    text = format(value, "f") if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text
