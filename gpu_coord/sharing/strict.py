"""Pairs of shares -> edges between accounts, with every weight side by side.

In: rows of two shares each, the older first. Out: one row per pair of accounts.
The one idea: one stable sort by the pair of accounts; each edge is then a run of rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import polars as pl

from gpu_coord.backend.pairs import CACHE
from gpu_coord.sharing.shares import Shares

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class EdgeRuns:
    """Pairs of shares, brought together by their two accounts."""

    shares: Shares
    older: np.ndarray  # rows of `shares`, (n_pairs,); by account pair, then in the order given
    newer: np.ndarray
    start: np.ndarray  # where the pairs of each edge begin, and the last end, (n_edges + 1,)
    source: np.ndarray  # account of each edge, int32 (n_edges,)
    target: np.ndarray

    @cached_property
    def n_pairs(self) -> np.ndarray:
        """Pairs of shares of each edge, int64 (n_edges,)."""
        return np.diff(self.start)

    @cached_property
    def gap_ms(self) -> np.ndarray:
        """Milliseconds from the older to the newer share, (n_pairs,)."""
        return np.asarray(self.shares.time[self.newer] - self.shares.time[self.older])

    @cached_property
    def source_older(self) -> np.ndarray:
        """Whether the older share is the source's, (n_pairs,)."""
        source = np.repeat(self.source, self.n_pairs)
        return np.asarray(self.shares.account[self.older] == source)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the pairs of each edge, (n_edges,)."""
        # Differences of a running sum are exact for integers only.
        return np.add.reduceat(values, self.start[:-1]) if values.size else values

    def count_distinct(self, values: np.ndarray) -> np.ndarray:
        """Return the number of distinct values of each edge, int64 (n_edges,)."""
        # Of one width: sorting takes a second to compile, for each anew.
        return np.asarray(_count_distinct(self.start, values.astype(np.int64, copy=False)))

    def count_by_side(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Count the distinct values of the source's and of the target's shares, (n_edges,) each.

        Parameters
        ----------
        values
            Of all shares, (n_shares,).
        """
        older, newer = values[self.older], values[self.newer]
        of_source = np.where(self.source_older, older, newer)
        of_target = np.where(self.source_older, newer, older)
        return self.count_distinct(of_source), self.count_distinct(of_target)


def group_pairs(
    shares: Shares, older: np.ndarray, newer: np.ndarray, *, directed: bool = False
) -> EdgeRuns:
    """Bring the pairs of each two accounts together.

    Parameters
    ----------
    shares
        From `read_shares`.
    older, newer
        Rows of two shares of one object, (n_pairs,), ascending by object.
    directed
        An edge goes from the account of the older share to that of the newer; otherwise from the
        account with the smaller row to the other.
    """
    n_accounts, one, other = shares.accounts.height, shares.account[older], shares.account[newer]
    if not directed:
        one, other = np.minimum(one, other), np.maximum(one, other)
    key = one.astype(np.int64) * n_accounts + other
    order = np.argsort(key, kind="stable")
    key = key[order]
    is_first = np.ones(key.size, bool)
    is_first[1:] = key[1:] != key[:-1]
    start = np.flatnonzero(is_first)
    source, target = (ends.astype(np.int32) for ends in np.divmod(key[start], n_accounts))
    return EdgeRuns(shares, older[order], newer[order], np.append(start, key.size), source, target)


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
    halves = np.where(gap_ms == 0, 1, 2 * runs.source_older)
    rarity = is_new / np.maximum(popularity[shares.object[runs.older]] - 1, 1)
    n_source, n_target = runs.count_by_side(shares.content)
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
