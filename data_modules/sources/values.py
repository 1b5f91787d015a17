"""Values of a row's columns, read as what they have to be; nothing else is made into a text."""

import math
from collections.abc import Sequence
from decimal import Decimal
from reprlib import Repr
from typing import Any

from mmlite.errors import RowError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_short = Repr()
_short.maxstring = _short.maxother = 200


def shown(value: Any) -> str:
    """Return a value as messages show it, however large or deep it is."""
    return _short.repr(value)


def text_of(value: Any, place: str) -> str:
    """Return a text, or a number as one.

    Args:
        value: A text or a finite number.
        place: Names the value in the message.

    Raises:
        RowError: If it is anything else, such as a list, whose items would be learnt as one text.
    """
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    if is_text or (isinstance(value, float | Decimal) and math.isfinite(value)):
        return str(value)
    raise RowError(
        f"{place}: got {shown(value)}, allowed: a text or a number; correct the row, or read "
        "another column"
    )


def list_of(value: Any) -> Sequence[Any]:
    """Return the items of a list, nothing as none, and anything else as the one item."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def choice_of(value: Any, choices: Sequence[str], place: str) -> str:
    """Return the text of the option that an answer names.

    Args:
        value: A whole number counts from 0, also where options are numerals; a text is an option,
            else its letter, else its number.
        choices: The options.
        place: Names the answer in the message.

    Raises:
        RowError: If it is a whole number that no option has, or neither text nor number.
    """
    text = text_of(value, place)
    if isinstance(value, int):
        if not 0 <= value < len(choices):
            raise RowError(
                f"{place}: got {value}, allowed: the number of one of {len(choices)} choices, from "
                "0; correct the row or leave it out"
            )
        return choices[value]
    if text in choices:
        return text
    letter = text.strip().strip("().").upper()
    number = int(text) if text.isdecimal() else -1
    if len(letter) == 1 and letter in LETTERS:
        number = LETTERS.index(letter)
    return choices[number] if 0 <= number < len(choices) else text
