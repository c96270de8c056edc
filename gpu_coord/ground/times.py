"""Durations and times as people write them: ``1h``, ``3600s``, ``2020-02-01T12:00``."""

import re
from datetime import UTC, datetime
from fractions import Fraction

_MAX_SECONDS = 10_000 * 366 * 86400  # longer than any archive
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str | int) -> int:
    """Return a duration in whole seconds.

    Parameters
    ----------
    text
        A whole number and ``s``, ``m``, ``h`` or ``d``; or a number of seconds.

    Raises
    ------
    ValueError
        The text is no positive duration.

    Examples
    --------
    >>> parse_duration("90m") == parse_duration("5400s") == parse_duration(5400)
    True
    """
    match = re.fullmatch(r"\s*([0-9]+)\s*([smhd])?\s*", str(text))
    seconds = int(match[1]) * _SECONDS[match[2] or "s"] if match else 0
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(
            f"{text!r} is no duration; write a positive whole number and s, m, h or d, like 1h."
        )
    return seconds


def parse_window(text: str | float) -> int:
    """Return the length of a window in whole milliseconds; 0 is the same time.

    Parameters
    ----------
    text
        A number and ``s``, ``m``, ``h`` or ``d``; or a number of seconds.

    Raises
    ------
    ValueError
        The text is no duration, or no whole number of milliseconds.

    Examples
    --------
    >>> parse_window("1.5s"), parse_window("0s"), parse_window("0.5m") == parse_window(30)
    (1500, 0, True)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhd])?\s*", str(text), re.ASCII)
    ms = 1000 * Fraction(match[1]) * _SECONDS[match[2] or "s"] if match else Fraction(-1)
    if ms.denominator != 1 or not 0 <= ms <= 1000 * _MAX_SECONDS:
        raise ValueError(
            f"{text!r} is no window; write a number and s, m, h or d, like 60s, 1.5s or 0s, of at "
            "most 3 decimals of a second."
        )
    return int(ms)


def count_seconds(ms: int) -> int | float:
    """Return milliseconds in seconds, a whole number where they are one.

    Examples
    --------
    >>> count_seconds(60_000), count_seconds(1500)
    (60, 1.5)
    """
    return ms / 1000 if ms % 1000 else ms // 1000


def describe_seconds(seconds: float) -> str:
    """Write a duration in its two largest units.

    Examples
    --------
    >>> describe_seconds(93_784), describe_seconds(0.25)
    ('1 d 2 h', '0.25 s')
    """
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:g} s"
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    largest = next(place for place, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for unit, size in units[largest : largest + 2]:
        parts += [f"{whole // size:,} {unit}"] * (whole >= size)
        whole %= size
    return " ".join(parts)


def parse_time(text: str | int) -> int:
    """Return an ISO 8601 time as epoch milliseconds; UTC unless it carries a zone.

    A whole number already is one.

    Raises
    ------
    ValueError
        The text is no ISO 8601 time.

    Examples
    --------
    >>> parse_time("1970-01-02") == parse_time("1970-01-02T02:00+02:00") == 86_400_000
    True
    """
    if isinstance(text, int):
        return text
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; write ISO 8601, like 2020-02-01 or 2020-02-01T12:00."
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return round(time.timestamp() * 1000)
