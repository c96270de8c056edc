"""What makes two words the same: their characters in one form, their letters in one case.

In: columns of text. Out: columns of the same length whose equal values are the same words. The one
idea: Python looks once at each distinct text, and only at those that the columns cannot do.
"""

from __future__ import annotations

import unicodedata
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

# Blanks, and what is invisible in print: zero width characters, direction marks, byte order mark.
_EDGE = r"[\s\u{AD}\u{61C}\u{180E}\u{200B}-\u{200F}\u{202A}-\u{202E}\u{2060}-\u{206F}\u{FEFF}]"

_THAI = range(0xE00, 0xE80)
# What most texts that are not in NFKC have: where they were cut off, and in Thai.
_COMMON = {"…": "...", "\u0e33": "\u0e4d\u0e32"}


def fold_hashtags(tags: pl.Series) -> pl.Series:
    """Give all spellings of one hashtag the same text; each distinct one is looked at once.

    NFKC and full case folding, without ``#`` in front, and without blanks and characters of no
    width around. Empty where nothing is left.
    """
    lower = tags.str.to_lowercase()
    # Those of letters and digits alone are most; for them this is all.
    at = (~tags.str.contains(r"^[0-9A-Za-z_]*$")).arg_true()
    return lower.scatter(at, _fold_distinct(tags.gather(at))) if at.len() else lower


def _fold_distinct(tags: pl.Series) -> pl.Series:
    distinct = tags.unique()
    words = normalise_unicode(distinct).str.replace(rf"^(?:{_EDGE}|#)+", "")
    words = fold_case(words.str.replace(rf"{_EDGE}+$", ""))
    # Folding takes some characters apart again.
    folded = normalise_unicode(words)
    return tags.replace_strict(distinct, folded, default=None, return_dtype=pl.String)


def fold_case(texts: pl.Series) -> pl.Series:
    """Case-fold (full Unicode folding); each distinct text beyond ASCII is folded once."""
    lower = texts.str.to_lowercase()  # in ASCII that is the same
    at = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    if not at.len():
        return lower
    others = texts.gather(at)
    distinct = others.unique()
    folded = pl.Series([text.casefold() for text in distinct], dtype=pl.String)
    return lower.scatter(at, others.replace(distinct, folded))


def normalise_unicode(texts: pl.Series) -> pl.Series:
    """Bring texts to NFKC: only those that may not be, for this is the slowest step of all."""
    # Nearly all that is not; to decompose it first changes nothing.
    for character, parts in _COMMON.items():
        texts = _map_some(texts, character, partial(_replace, character, parts))
    return _map_some(texts, _list_unstable(), lambda some: some.str.normalize("NFKC"))


def _map_some(
    texts: pl.Series, pattern: str, change: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Change the texts in which a pattern is found."""
    at = texts.str.contains(pattern).arg_true()
    return texts.clone().scatter(at, change(texts.gather(at))) if at.len() else texts


def _replace(old: str, new: str, texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(old, new, literal=True)


@cache
def _list_unstable() -> str:
    """Return a pattern that is found in every text that NFKC may change.

    Without it a text is in NFKC (quick check of Unicode Standard Annex 15): it has no character
    that changes, alone or beside others, and none that combines stands behind one of a higher
    class. The latter is looked at in Thai alone, where such characters are in most texts: a pattern
    for all scripts takes long to compile. Characters that this Python does not know may change.
    """
    unstable = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # Hangul that joins what precedes
    combining: dict[int, set[int]] = {}  # by class
    for character in map(chr, (*range(0xD800), *range(0xE000, 0x20000))):
        is_stable = unicodedata.normalize("NFKC", character) == character
        if not is_stable or unicodedata.category(character) == "Cn":
            unstable.add(ord(character))
        order = unicodedata.combining(character)
        if order and ord(character) in _THAI:
            combining.setdefault(order, set()).add(ord(character))
        elif order:
            unstable.add(ord(character))
        first, _, second = unicodedata.decomposition(character).partition(" ")
        if second and not first.startswith("<"):
            unstable.add(int(second, 16))
    patterns, lower = [f"[{_list_ranges(unstable)}\\x{{20000}}-\\x{{10ffff}}]"], set[int]()
    for order in sorted(combining):
        codes = combining[order] - unstable
        if codes and lower:
            patterns.append(f"[{_list_ranges(codes)}][{_list_ranges(lower)}]")
        lower |= codes
    return "|".join(patterns)


def _list_ranges(codes: set[int]) -> str:
    """Write characters as ranges, not one by one: the pattern is compiled again and again."""
    listed = np.array(sorted(codes))
    runs = np.split(listed, np.flatnonzero(np.diff(listed) > 1) + 1)
    return "".join(f"\\x{{{run[0]:x}}}-\\x{{{run[-1]:x}}}" for run in runs)
