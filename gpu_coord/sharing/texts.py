"""Texts -> all pairs of near-duplicate texts, by the Jaccard index of their character shingles.

The one idea: two sets that are this alike share one of the few rarest shingles of each (prefix
filter, Chaudhuri et al. 2006, Bayardo et al. 2007): no pair is missed, as MinHash may, few are
compared, and each that is found was compared in full.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import polars as pl

from gpu_coord.backend.pairs import CACHE, first_at_least
from gpu_coord.ground.threads import map_ahead

# Characters of a shingle: words are not marked in all scripts.
SHINGLE = 5
_BLOCK_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Uses:
    """When and by whom each text was posted, (n_texts,) each."""

    first_ms: np.ndarray
    last_ms: np.ndarray
    sole_account: np.ndarray  # -1: of several accounts


def find_similar(
    texts: pl.Series, uses: Uses, *, threshold: float, window_ms: int, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of different texts that are alike and could make a pair of posts.

    Pairs of texts of one and the same account only, and pairs that were never posted within a
    window of each other, are left out: no two posts could meet through them. Of shingles some
    50 bytes are held for each character of the texts.

    Parameters
    ----------
    texts
        Distinct texts, (n_texts,); a null is like no other.
    uses
        Of these texts.
    threshold
        Least Jaccard index: shingles in common / shingles of either.
    window_ms
        The widest window, inclusive.
    threads
        Blocks of texts to work on at a time.

    Returns
    -------
        First and second texts, first < second, ascending, int32 (n_pairs,).

    Raises
    ------
    ValueError
        The threshold is out of range.
    """
    if not 0.5 <= threshold <= 1:
        raise ValueError(f"similarity is {threshold}; it lies between 0.5 and 1, like 0.8.")
    start, code = _list_shingles(texts)
    order = np.argsort(np.diff(start), kind="stable")  # small sets first
    start, token = _order_tokens(start, code, order)
    index = _index_prefixes(start, token, threshold)
    columns = (uses.first_ms[order], uses.last_ms[order], uses.sole_account[order])

    def join(first: int) -> tuple[Any, Any]:
        last = min(first + _BLOCK_TEXTS, order.size)
        return _join_block(first, last, start, token, *index, *columns, window_ms, threshold)  # type: ignore[no-any-return]

    none = np.empty(0, np.int32)
    found = map_ahead(range(0, order.size, _BLOCK_TEXTS), join, n_threads=threads)
    one, other = (np.concatenate(rows) for rows in zip((none, none), *found, strict=True))
    return _sort_pairs(order[one], order[other])


def _sort_pairs(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((second, first))
    return first[order].astype(np.int32), second[order].astype(np.int32)


def _list_shingles(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct shingles of each text as numbers: where each begins, and the numbers.

    A shingle is the number whose digits are its characters, to the base of the alphabet: exact
    as long as the texts have at most 7,130 different characters, beyond it a hash of 64 bits.
    """
    known = texts.fill_null("")
    points = np.frombuffer("".join(known).encode("utf-32-le"), np.uint32)
    is_used = np.zeros(0x110000, bool)
    is_used[points] = True
    digit = np.cumsum(is_used, dtype=np.uint64)  # from 1 on; 0 fills up texts that are shorter
    end = np.cumsum(known.str.len_chars().to_numpy().astype(np.int64))
    return _number_shingles(digit[points], end, np.uint64(digit[-1] + np.uint64(1)))  # type: ignore[no-any-return]


def _order_tokens(start: Any, code: Any, order: Any) -> tuple[np.ndarray, np.ndarray]:
    """Bring texts into an order, and the shingles of each from the rarest to the commonest."""
    _, number, count = np.unique(code, return_inverse=True, return_counts=True)
    rank = np.empty(count.size, np.int32)
    rank[np.argsort(count, kind="stable")] = np.arange(count.size, dtype=np.int32)
    return _sort_tokens(start, rank[number], order)  # type: ignore[no-any-return]


def _index_prefixes(start: Any, token: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """List the texts that have each token among their rarest, in the order of the texts."""
    size = np.diff(start)
    prefix = np.where(size > 0, size - _find_least(size, threshold) + 1, 0)
    text = np.repeat(np.arange(size.size, dtype=np.int32), prefix)
    place = np.arange(text.size) - np.repeat(np.cumsum(prefix) - prefix, prefix)
    rare = token[start[text] + place]
    n_tokens = int(token.max(initial=-1)) + 1
    index_start = np.append(0, np.cumsum(np.bincount(rare, minlength=n_tokens)))
    return index_start, text[np.argsort(rare, kind="stable")]


def _find_least(size: np.ndarray, threshold: float) -> np.ndarray:
    """Return the fewest shingles that sets of a size have in common with alike, larger ones."""
    least: np.ndarray = np.floor(2 * threshold / (1 + threshold) * size).astype(np.int64)
    # A quotient of integers is rounded as the threshold was, a product is not.
    least += least / np.maximum(2 * size - least, 1) < threshold
    return least


@numba.njit(cache=CACHE, nogil=True)
def _number_shingles(digit: Any, end: Any, base: Any) -> Any:
    """Return where the shingles of each text begin, and the last end, and their numbers."""
    start = np.zeros(end.size + 1, np.int64)
    code = np.empty(digit.size, np.uint64)
    n_codes, begin = 0, 0
    for text in range(end.size):
        first = n_codes
        for place in range(begin, max(end[text] - SHINGLE + 1, min(begin + 1, end[text]))):
            number = np.uint64(0)
            for at in range(place, place + SHINGLE):
                number = number * base + (digit[at] if at < end[text] else np.uint64(0))
            code[n_codes] = number
            n_codes += 1
        code[first:n_codes].sort()
        kept = first
        for place in range(first, n_codes):
            if place == first or code[place] != code[place - 1]:
                code[kept] = code[place]
                kept += 1
        n_codes = kept
        start[text + 1] = n_codes
        begin = end[text]
    return start, code[:n_codes]


@numba.njit(cache=CACHE, nogil=True)
def _sort_tokens(start: Any, token: Any, order: Any) -> Any:
    ordered = np.empty_like(token)
    ordered_start = np.zeros_like(start)
    for place in range(order.size):
        tokens = np.sort(token[start[order[place]] : start[order[place] + 1]])
        first = ordered_start[place]
        ordered_start[place + 1] = first + tokens.size
        ordered[first : first + tokens.size] = tokens
    return ordered_start, ordered


@numba.njit(cache=CACHE, nogil=True)
def _count_common(start: Any, token: Any, one: int, other: int, least: int) -> int:
    """Count the tokens in common; give up where they cannot become as many as the least."""
    a, b, n_common = start[one], start[other], 0
    end_a, end_b = start[one + 1], start[other + 1]
    while a < end_a and b < end_b and n_common + min(end_a - a, end_b - b) >= least:
        n_common += token[a] == token[b]
        step = token[a] <= token[b]
        b += token[b] <= token[a]
        a += step
    return n_common


@numba.njit(cache=CACHE, nogil=True)
def _join_block(first: int, last: int, start: Any, token: Any, index_start: Any, index_text: Any,
                first_ms: Any, last_ms: Any, sole: Any, window_ms: int, threshold: float,
                ) -> Any:  # fmt: skip
    """Find the texts alike to first..last-1 among those before them, which are no larger."""
    ones, others, n_found = np.empty(64, np.int32), np.empty(64, np.int32), 0
    seen_by = np.full(last, -1, np.int32)
    smallest = 0
    for text in range(first, last):
        size = start[text + 1] - start[text]
        if size == 0:
            continue
        # What is too small to be alike is too small for all that follow.
        while (start[smallest + 1] - start[smallest]) / size < threshold:
            smallest += 1
        n_prefix = size
        while n_prefix > 1 and (size - n_prefix + 1) / size < threshold:
            n_prefix -= 1
        for rare in token[start[text] : start[text] + n_prefix]:
            stop = index_start[rare + 1]
            for entry in range(first_at_least(index_text, index_start[rare], stop, smallest), stop):
                other = index_text[entry]
                if other >= text:
                    break
                if seen_by[other] == text:
                    continue
                seen_by[other] = text
                if (first_ms[text] - last_ms[other] > window_ms
                        or first_ms[other] - last_ms[text] > window_ms
                        or (sole[text] >= 0 and sole[text] == sole[other])):  # fmt: skip
                    continue
                total = size + start[other + 1] - start[other]
                least = int(threshold / (1 + threshold) * total)  # rounded down, to be safe
                n_common = _count_common(start, token, text, other, least)
                if n_common / (total - n_common) < threshold:
                    continue
                if n_found == ones.size:
                    ones = np.concatenate((ones, np.empty_like(ones)))
                    others = np.concatenate((others, np.empty_like(others)))
                ones[n_found], others[n_found] = text, other
                n_found += 1
    return ones[:n_found], others[:n_found]
