"""What makes two words the same: their characters in one form, their letters in one case.

In: columns of text. Out: columns of the same length whose equal values are the same words. The one
idea: Python looks once at each distinct text, and only at those that the columns cannot do.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import polars as pl

# Blanks, and what is invisible in print: zero width characters, direction marks, byte order mark.
_EDGE = r"[\s\u{AD}\u{61C}\u{180E}\u{200B}-\u{200F}\u{202A}-\u{202E}\u{2060}-\u{206F}\u{FEFF}]"


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
    # Nearly all that is not, in posts that were cut off; to decompose it first changes nothing.
    texts = texts.str.replace_all("…", "...", literal=True)
    at = texts.str.contains(_list_unstable()).arg_true()
    if not at.len():
        return texts
    return texts.clone().scatter(at, texts.gather(at).str.normalize("NFKC"))


@cache
def _list_unstable() -> str:
    """Return a character class with every character that NFKC may change, alone or beside others.

    Without one of them a text is in NFKC (quick check of Unicode Standard Annex 15). Characters
    that this Python does not know count as unstable.
    """
    unstable = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # Hangul that joins what precedes
    for character in map(chr, (*range(0xD800), *range(0xE000, 0x20000))):
        is_stable = unicodedata.normalize("NFKC", character) == character
        is_known = unicodedata.category(character) != "Cn"
        if not is_stable or not is_known or unicodedata.combining(character):
            unstable.add(ord(character))
        first, _, second = unicodedata.decomposition(character).partition(" ")
        if second and not first.startswith("<"):
            unstable.add(int(second, 16))
    codes = np.array(sorted(unstable))
    # Ranges, not single characters: the pattern is compiled again and again.
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    listed = "".join(f"\\x{{{run[0]:x}}}-\\x{{{run[-1]:x}}}" for run in runs)
    return f"[{listed}\\x{{20000}}-\\x{{10ffff}}]"
