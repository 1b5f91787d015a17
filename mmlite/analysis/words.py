"""Numbers as people read them: percent, points, counts and durations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MINUS = "\u2212"
NO_BREAK = "\u00a0"
_THOUSAND = 1000


def percent(share: float | None, *, digits: int = 1) -> str:
    """Write a fraction as percent; a dash when it is not known."""
    return "\u2013" if share is None else f"{100 * share:.{digits}f}%"


def number_percent(share: float | None, *, digits: int = 1) -> str:
    """Write a fraction as percent without the sign, for tables; a dash when it is not known."""
    return "\u2013" if share is None else f"{100 * share:.{digits}f}"


def points(difference: float | None, *, digits: int = 1) -> str:
    """Write a difference of fractions as percentage points with its sign."""
    if difference is None:
        return "\u2013"
    text = f"{abs(100 * difference):.{digits}f}"
    if not float(text):
        return text
    return f"{'+' if difference > 0 else MINUS}{text}"


def signed(value: float, *, digits: int = 0) -> str:
    """Write a number with a true minus sign where it is negative."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def moment(stamp: str) -> str:
    """Write an ISO 8601 time to the minute; any other text stays as it is."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    zone = found.strftime("%Z")
    return f"{found:%Y-%m-%d %H:%M} {zone}".strip()


def p_value(p: float) -> str:
    """Write a p-value; tiny ones as a bound."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def short_count(count: float | None) -> str:
    """Write a count shortly: 940, 12k, 3.4M, 1.7B; nothing when it is not known."""
    if count is None:
        return ""
    value, unit = float(count), ""
    for larger in ("k", "M", "B", "T"):
        if value < _THOUSAND - 0.5:
            break
        value, unit = value / _THOUSAND, larger
    text = f"{value:.0f}" if value >= 10 or not unit else f"{value:.1f}".removesuffix(".0")
    return text + unit


def grouped(count: object) -> str:
    """Write a whole number with its digits in groups of three."""
    return f"{count:,.0f}" if isinstance(count, int | float) else "\u2013"


def sample(row: Mapping[str, Any]) -> str:
    """Write how many answers a row is of, and to how many questions where those recur."""
    n, questions = row["n"], row.get("questions")
    return f"n = {n}" if questions in (None, n) else f"n = {n} to {questions} questions"


def duration(seconds: object) -> str:
    """Write a duration: 8.4 s, 3 min 20 s, 2 h 5 min."""
    if not isinstance(seconds, int | float):
        return "\u2013"
    if seconds < 60:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min {whole % 60}{NO_BREAK}s"
    return f"{whole // 3600}{NO_BREAK}h {whole % 3600 // 60}{NO_BREAK}min"
