"""How a list of dictionaries looks in a cell, as Python or as JSON writes it.

In: nothing. Out: patterns. The one idea: a pattern of whole values, with what may stand inside
them, so that a key inside a value is not taken for a key of the dictionary.
"""

from __future__ import annotations

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_SCALAR = rf"""(?:{_TEXT}|[^\s,:'"\[\]{{}}]+)"""


def _join(item: str) -> str:
    return rf"(?:{item}(?:\s*,\s*{item})*)"


def _enclose(value: str) -> str:
    """Return the pattern of a dictionary with such values."""
    entries = _join(rf"{_TEXT}\s*:\s*{value}")
    return rf"\{{\s*{entries}?\s*\}}"


def _nest(value: str) -> str:
    """Return the pattern of a single value, and of a list or a dictionary of such values."""
    return rf"(?:{_SCALAR}|\[\s*{_join(value)}?\s*\]|{_enclose(value)})"


_VALUE = _nest(_nest(_nest(_SCALAR)))
DICTIONARY = rf"(?s){_enclose(_VALUE)}"
DICTIONARIES = rf"(?s)^{_join(_enclose(_VALUE))}$"


def find_key(key: str) -> str:
    """Return the pattern of a dictionary that captures the single value under a key."""
    before = rf"(?:{_TEXT}\s*:\s*{_VALUE}\s*,\s*)*?"
    return rf"""(?s)^\{{\s*{before}(?:'{key}'|"{key}")\s*:\s*({_SCALAR})\s*[,}}]"""
