"""Pairs of shares -> edges between accounts, with every weight side by side.

In: rows of two shares each, the older first. Out: one row per pair of accounts, source < target.
The one idea: one stable sort by the pair of accounts; each edge is then a run of rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import polars as pl

from gpu_coord.backend.pairs import CACHE
from gpu_coord.sharing.shares import Shares
from gpu_coord.sharing.windows import cut_ranges

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]

# A pair while it is weighed: its rows, its key and its place, and some columns of it.
BYTES_PER_PAIR = 128


@dataclass(frozen=True)
class EdgeRuns:
    """Pairs of shares, brought together by their two accounts."""

    shares: Shares
    older: np.ndarray  # rows of `shares`, (n_pairs,); by account pair, then in the order given
    newer: np.ndarray
    start: np.ndarray  # where the pairs of each edge begin, and the last end, (n_edges + 1,)

    @cached_property
    def source(self) -> np.ndarray:
        """Account with the smaller row of each edge, (n_edges,)."""
        source: np.ndarray = np.minimum(*self._ends())
        return source

    @cached_property
    def target(self) -> np.ndarray:
        """Account with the larger row of each edge, (n_edges,)."""
        target: np.ndarray = np.maximum(*self._ends())
        return target

    @cached_property
    def n_pairs(self) -> np.ndarray:
        """Pairs of shares of each edge, int64 (n_edges,)."""
        return np.diff(self.start)

    @cached_property
    def gap_ms(self) -> np.ndarray:
        """Milliseconds from the older to the newer share, (n_pairs,)."""
        gaps: np.ndarray = self.shares.time[self.newer] - self.shares.time[self.older]
        return gaps

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        account, first = self.shares.account, self.start[:-1]
        return account[self.older[first]], account[self.newer[first]]

    def take(self, kept: np.ndarray) -> "EdgeRuns":
        """Return some of the pairs, chosen by Booleans (n_pairs,), and the edges they make."""
        return group_pairs(self.shares, self.older[kept], self.newer[kept])

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the pairs of each edge, (n_edges,)."""
        # Differences of a running sum are exact for integers only.
        return np.add.reduceat(values, self.start[:-1]) if values.size else values

    def count_distinct(self, values: np.ndarray) -> np.ndarray:
        """Return the number of distinct values of each edge, int64 (n_edges,)."""
        return np.asarray(_count_distinct(self.start, values))


def group_pairs(shares: Shares, older: np.ndarray, newer: np.ndarray) -> EdgeRuns:
    """Bring the pairs of each two accounts together.

    Parameters
    ----------
    shares
        From `read_shares`.
    older, newer
        Rows of two shares of one object, (n_pairs,), ascending by object.
    """
    one, other = shares.account[older], shares.account[newer]
    key = np.minimum(one, other).astype(np.int64) * shares.accounts.height
    key += np.maximum(one, other)
    order = np.argsort(key, kind="stable")
    key = key[order]
    is_first = np.ones(key.size, bool)
    is_first[1:] = key[1:] != key[:-1]
    start = np.append(np.flatnonzero(is_first), key.size)
    return EdgeRuns(shares, older[order], newer[order], start)


def weigh_in_ranges(
    shares: Shares,
    list_pairs: Callable[[], Blocks],
    weigh: Callable[[EdgeRuns], pl.DataFrame],
    *,
    memory: int,
) -> pl.DataFrame:
    """Weigh all edges, those of some accounts at a time; the pairs are listed once for each part.

    Parameters
    ----------
    shares
        From `read_shares`.
    list_pairs
        Yields blocks of pairs (older, newer), ascending by object.
    weigh
        Returns a row for each edge.
    memory
        Bytes that the pairs weighed at once may take; those of one account are never divided.
    """
    n_pairs = np.zeros(shares.accounts.height, np.int64)
    for older, newer in list_pairs():
        smaller = np.minimum(shares.account[older], shares.account[newer])
        n_pairs += np.bincount(smaller, minlength=n_pairs.size)
    ranges = cut_ranges(n_pairs, memory // BYTES_PER_PAIR)
    blocks = (take_accounts(shares, list_pairs(), *accounts) for accounts in ranges)
    return pl.concat([weigh(group_pairs(shares, *join_blocks(block))) for block in blocks])


def take_accounts(shares: Shares, blocks: Blocks, first: int, last: int) -> Blocks:
    """Yield the pairs whose account with the smaller row is in a range."""
    for older, newer in blocks:
        smaller = np.minimum(shares.account[older], shares.account[newer])
        kept = (smaller >= first) & (smaller < last)
        yield older[kept], newer[kept]


def join_blocks(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of all blocks, none of them included."""
    none = np.empty(0, np.int64)
    older, newer = zip((none, none), *blocks, strict=True)
    return np.concatenate(older), np.concatenate(newer)


def weigh_edges(runs: EdgeRuns, popularity: np.ndarray) -> pl.DataFrame:
    """Weigh the edges by the distinct objects that both accounts shared within the window.

    Parameters
    ----------
    runs
        From `group_pairs`.
    popularity
        Accounts that shared each object, (n_objects,).

    Returns
    -------
        By source, then target: ``source, target`` (rows of accounts), ``weight`` (= n_objects),
        ``weight_<kind>``, and the columns of `describe_edges`.
    """
    described = describe_edges(runs, popularity)
    by_kind = count_by_kind(runs, is_new_object(runs))
    ends = pl.DataFrame({"source": runs.source, "target": runs.target})
    weight = described.select(weight=pl.col("n_objects").cast(pl.Float64))
    return pl.concat([ends, weight, by_kind, described], how="horizontal")


def describe_edges(runs: EdgeRuns, popularity: np.ndarray) -> pl.DataFrame:
    """Count and average what the pairs of each edge say, in all the ways in use.

    Returns
    -------
        ``n_objects`` (distinct objects), ``n_pairs`` (of shares), ``n_posts_source,
        n_posts_target`` (distinct posts of each side), ``mean_gap, median_gap`` (seconds),
        ``source_first`` (share of the pairs in which the source was first; ties are half),
        ``symmetry`` (the posts of the side with fewer by those of the other: near 0 where one meets
        many posts of the other with few of its own),
        ``popularity_weight`` (sum over the objects of 1 / (accounts that shared it - 1)).
    """
    shares, gap_ms = runs.shares, runs.gap_ms
    is_new = is_new_object(runs)
    source_older = shares.account[runs.older] == np.repeat(runs.source, runs.n_pairs)
    content = shares.content[runs.older], shares.content[runs.newer]
    halves = np.where(gap_ms == 0, 1, 2 * source_older)
    rarity = is_new / np.maximum(popularity[shares.object[runs.older]] - 1, 1)
    n_source = runs.count_distinct(np.where(source_older, *content))
    n_target = runs.count_distinct(np.where(source_older, *content[::-1]))
    return pl.DataFrame(
        {
            "n_objects": runs.sum(is_new.astype(np.int64)),
            "n_pairs": runs.n_pairs,
            "n_posts_source": n_source,
            "n_posts_target": n_target,
            "mean_gap": runs.sum(gap_ms) / runs.n_pairs / 1000,
            "median_gap": np.asarray(_find_medians(runs.start, gap_ms)) / 1000,
            "source_first": runs.sum(halves) / runs.n_pairs / 2,
            "symmetry": np.minimum(n_source, n_target) / np.maximum(n_source, n_target),
            "popularity_weight": runs.sum(rarity),
        }
    )


def count_windows(runs: EdgeRuns, windows: Sequence[float]) -> pl.DataFrame:
    """Count what is left of each edge in shorter windows than that of its pairs.

    Parameters
    ----------
    runs
        From `group_pairs`.
    windows
        Seconds, inclusive.

    Returns
    -------
        ``n_objects_<window>s, n_pairs_<window>s`` for each window, ascending; row = edge.
    """
    columns = {}
    for seconds in sorted(set(windows)):
        is_within = runs.gap_ms <= round(1000 * seconds)
        objects = np.where(is_within, runs.shares.object[runs.older], -1)
        n_pairs = runs.sum(is_within.astype(np.int64))
        columns[f"n_objects_{seconds}s"] = runs.count_distinct(objects) - (n_pairs < runs.n_pairs)
        columns[f"n_pairs_{seconds}s"] = n_pairs
    return pl.DataFrame(columns)


def is_new_object(runs: EdgeRuns) -> np.ndarray:
    """Mark the first pair of each object in each edge, (n_pairs,)."""
    objects = runs.shares.object[runs.older]
    is_new = np.ones(objects.size, bool)
    is_new[1:] = objects[1:] != objects[:-1]
    is_new[runs.start[:-1]] = True
    return is_new


def count_by_kind(runs: EdgeRuns, counted: np.ndarray) -> pl.DataFrame:
    """Count the marked pairs of each edge by the kind of their object: ``weight_<kind>``."""
    kinds = runs.shares.objects["kind"].cast(pl.String)
    number = kinds.rank("dense").to_numpy()[runs.shares.object[runs.older]]
    names = kinds.unique().sort()
    return pl.DataFrame(
        {
            f"weight_{kind}": runs.sum((counted & (number == rank)).astype(np.float64))
            for rank, kind in enumerate(names, start=1)
        }
    )


def count_popularity(shares: Shares) -> np.ndarray:
    """Count the accounts that shared each object, int64 (n_objects,)."""
    key = shares.object.astype(np.int64) * shares.accounts.height + shares.account
    return np.bincount(np.unique(key) // shares.accounts.height, minlength=shares.objects.height)


@numba.njit(cache=CACHE, nogil=True)
def _count_distinct(start: Any, values: Any) -> Any:
    """Count the distinct values of each run values[start[i]:start[i + 1]], none of them empty."""
    counts = np.ones(start.size - 1, np.int64)
    for run in range(counts.size):
        if start[run + 1] - start[run] > 1:
            ordered = np.sort(values[start[run] : start[run + 1]])
            for place in range(1, ordered.size):
                counts[run] += ordered[place] != ordered[place - 1]
    return counts


@numba.njit(cache=CACHE, nogil=True)
def _find_medians(start: Any, values: Any) -> Any:
    """Return the median of each run values[start[i]:start[i + 1]], none of them empty."""
    medians = np.empty(start.size - 1)
    for run in range(medians.size):
        ordered = np.sort(values[start[run] : start[run + 1]])
        middle = ordered.size // 2
        medians[run] = (ordered[middle] + ordered[ordered.size - 1 - middle]) / 2
    return medians
