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
    digits = re.sub(r"(?i)^minus\s+", "-", words_to_digits(text))
    return _spell(digits) if _NUMBER.fullmatch(digits) else None


def _spell(number: str) -> str:
    value = Decimal(number.replace(",", ""))
    text = format(value, "f") if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text
