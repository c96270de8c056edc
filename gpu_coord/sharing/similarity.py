"""Shares -> who used the same objects, whenever that was: each account's most similar ones.

A ranking, not a test: two accounts of one taste are as similar as two of one operation. In: how
often each account shared each object. Each pair of accounts is met once, in whatever thread.
"""

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
import polars as pl

from gpu_coord.activity.counts import cut_rows
from gpu_coord.backend.pairs import CACHE, first_at_least
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.layers import Measure
from gpu_coord.sharing.settings import Idf
from gpu_coord.sharing.shares import Shares

_BLOCK_PRODUCTS = 20_000_000  # that one call of the kernel adds up: some 20 ms
_STRETCH = 64  # accounts that are compared with what is known at once
_LEAST = 1e-300  # similarity of a neighbour: above 0
_BEST = 5  # neighbours by whom an account is ranked
_FEW = 16  # a source with fewer products than a 16th of all accounts lists whom it meets


class Rows(NamedTuple):
    """Weights of accounts by object, or of objects by account; a tuple, for the kernel."""

    start: Any  # (n + 1,)
    other: Any  # ascending within each row
    weight: Any


class Heaps(NamedTuple):
    """The neighbours of all accounts that one thread has met; a tuple, for the kernel."""

    similarity: Any  # the least first, otherwise as heaps are, (n_accounts, n_neighbours)
    target: Any
    least: Any  # of each account, (n_accounts,)


@dataclass(frozen=True)
class Profiles:
    """What each account shared, each object weighed."""

    by_account: Rows
    by_object: Rows

    @property
    def n_accounts(self) -> int:
        """Accounts, those without shares included."""
        return int(self.by_account.start.size) - 1


class Neighbours(NamedTuple):
    """The accounts most similar to each, (n_rows,) each; by source, the most similar first."""

    source: Any
    target: Any
    similarity: Any  # above 0


def describe_profiles(shares: Shares, *, idf: Idf = "smooth") -> Profiles:
    """Count the shares of each object by each account, and weigh them.

    Parameters
    ----------
    shares
        From `read_shares`.
    idf
        What a share of an object counts, n accounts in all, d of them with the object. ``smooth``:
        log((1 + n) / (1 + d)) + 1, as scikit-learn does, and with it most published code.
        ``plain``: log(n / d) (Sparck Jones 1972): what everybody shared counts nothing.
    """
    from scipy import sparse

    ends, shape = (shares.account, shares.object), (shares.accounts.height, shares.objects.height)
    weights = sparse.csr_matrix((np.ones(shares.account.size), ends), shape)
    n_users = weights.getnnz(axis=0)
    weights.data *= _weigh_objects(n_users, shape[0], idf)[weights.indices]
    weights.eliminate_zeros()
    return Profiles(_read_rows(weights), _read_rows(weights.tocsc()))


def _weigh_objects(n_users: Any, n_accounts: int, idf: Idf) -> Any:
    if idf == "plain":
        return np.log(n_accounts / np.maximum(n_users, 1))
    return np.log((1 + n_accounts) / (1 + n_users)) + 1


def _read_rows(matrix: Any) -> Rows:
    matrix.sort_indices()
    return Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)


def find_neighbours(
    profiles: Profiles,
    *,
    measure: Measure = "cosine",
    n_neighbours: int = 10,
    threads: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """Find the accounts most similar to each account, exactly.

    Parameters
    ----------
    profiles
        From `describe_profiles`.
    measure
        ``cosine`` of the weights, or their weighted Jaccard index: the sum of the smaller ones
        over the sum of the larger ones.
    n_neighbours
        So many of each account; of equally similar ones those that come first.
    threads
        Blocks of accounts to work on at a time; each takes 12 bytes for each neighbour of all.
    report
        Called with the accounts that are done, and all.

    Returns
    -------
        The same to the bit for any number of threads; no account without a common object.
    """
    rows, columns, total = _scale(profiles, measure)
    n_accounts = profiles.n_accounts
    n_products = np.diff(columns.start)[rows.other]
    by_account = np.diff(np.concatenate([[0], np.cumsum(n_products)])[rows.start])
    blocks = cut_rows(by_account + 1, _BLOCK_PRODUCTS)
    heaps = [_make_heaps(n_accounts, n_neighbours) for _ in range(max(1, threads))]
    free: queue.SimpleQueue[Heaps] = queue.SimpleQueue()
    for each in heaps:
        free.put(each)

    def work(block: tuple[int, int]) -> int:
        mine = free.get()
        try:
            _meet(*block, rows, columns, total, measure == "jaccard", by_account, mine)
        finally:
            free.put(mine)
        return block[1]

    for last in map_ahead(blocks, work, n_threads=len(heaps)):
        if report is not None:
            report(last, n_accounts)
    return _join(heaps, n_neighbours)


def rank_similar(
    shares: Shares,
    measure: Measure,
    *,
    idf: Idf,
    n_neighbours: int,
    threads: int,
    report: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Return the pairs in which one account is among the most similar ones of the other.

    Parameters
    ----------
    shares, idf
        See `describe_profiles`.
    measure, n_neighbours, threads, report
        See `find_neighbours`.

    Returns
    -------
        By source, then target (rows of accounts, source < target): ``source, target, weight`` (the
        similarity, 0 to 1), and the columns of other layers' edges, which say nothing here.
    """
    found = find_neighbours(
        describe_profiles(shares, idf=idf), measure=measure, n_neighbours=n_neighbours,
        threads=threads, report=report,
    )  # fmt: skip
    pairs = pl.DataFrame(
        {
            "source": np.minimum(found.source, found.target),
            "target": np.maximum(found.source, found.target),
            "weight": found.similarity,
        }
    )
    return (
        pairs.unique(["source", "target"])
        .sort("source", "target")
        .with_columns(
            n_pairs=pl.lit(0, pl.Int64),
            mean_gap=pl.lit(None, pl.Float64),
            popularity_weight=pl.lit(None, pl.Float64),
        )
    )


def average_best(pairs: pl.DataFrame, n_accounts: int) -> Any:
    """Return the mean similarity of each account and its five most similar ones, (n_accounts,).

    Parameters
    ----------
    pairs
        ``source, target`` (rows of accounts, each pair once), ``weight``.
    n_accounts
        Accounts; those with fewer than five count 0 for each that lacks.
    """
    ends = [pairs.select("weight", account=end) for end in ("source", "target")]
    best = pl.concat(ends).group_by("account").agg(pl.col("weight").top_k(_BEST).sum())
    averages = np.zeros(n_accounts)
    averages[best["account"].to_numpy()] = best["weight"].to_numpy() / _BEST
    return averages


def _scale(profiles: Profiles, measure: Measure) -> tuple[Rows, Rows, Any]:
    """Return rows and columns of the length that the measure takes, and the sum of each row."""
    rows, columns = profiles.by_account, profiles.by_object
    account = np.repeat(np.arange(profiles.n_accounts), np.diff(rows.start))
    if measure == "jaccard":
        return rows, columns, np.bincount(account, rows.weight, profiles.n_accounts)
    length = np.sqrt(np.bincount(account, rows.weight**2, profiles.n_accounts))
    return (
        rows._replace(weight=rows.weight / length[account]),
        columns._replace(weight=columns.weight / length[columns.other]),
        length,
    )


def _make_heaps(n_accounts: int, n_neighbours: int) -> Heaps:
    shape = (n_accounts, n_neighbours)
    nobody = np.full(shape, np.iinfo(np.int32).max, np.int32)
    return Heaps(np.zeros(shape), nobody, np.full(n_accounts, _LEAST))


def _join(heaps: list[Heaps], n_neighbours: int) -> Neighbours:
    similarity = np.concatenate([each.similarity for each in heaps], axis=1)
    target = np.concatenate([each.target for each in heaps], axis=1)
    order = np.lexsort((target, -similarity))[:, :n_neighbours]
    similarity, target = (np.take_along_axis(each, order, 1) for each in (similarity, target))
    found = similarity > 0
    return Neighbours(np.nonzero(found)[0].astype(np.int32), target[found], similarity[found])


# --- kernels -------------------------------------------------------------------------------


@numba.njit(cache=CACHE, nogil=True)
def _meet(first: int, last: int, rows: Rows, columns: Rows, total: Any, is_jaccard: Any,
          n_products: Any, heaps: Heaps) -> None:  # fmt: skip
    """Offer the pairs of the sources first..last-1 with later accounts to the heaps of both."""
    n_accounts = total.size
    sums, met = np.zeros(n_accounts), np.empty(n_accounts, np.int32)
    for source in range(first, last):
        is_few = n_products[source] * _FEW < n_accounts - source
        n_met = 0
        for entry in range(rows.start[source], rows.start[source + 1]):
            weight, object = rows.weight[entry], rows.other[entry]
            stop = columns.start[object + 1]
            start = first_at_least(columns.other, columns.start[object], stop, source + 1)
            if is_few:
                n_met = _list_new(columns.other[start:stop], sums, met, n_met)
            _add(columns.other[start:stop], columns.weight[start:stop], weight, is_jaccard, sums)
        if is_few:
            _offer_met(source, met[:n_met], sums, total, is_jaccard, heaps)
        else:
            _offer_later(source, sums, total, is_jaccard, heaps)


@numba.njit(cache=CACHE, nogil=True)
def _offer_met(source: int, met: Any, sums: Any, total: Any, is_jaccard: Any,
               heaps: Heaps) -> None:  # fmt: skip
    for other in met:
        value = sums[other]
        sums[other] = 0.0
        if is_jaccard:
            value /= total[source] + total[other] - value
        if value >= heaps.least[source]:
            _offer(source, other, value, heaps)
        if value >= heaps.least[other]:
            _offer(other, source, value, heaps)


@numba.njit(cache=CACHE, nogil=True)
def _offer_later(source: int, sums: Any, total: Any, is_jaccard: Any,
                 heaps: Heaps) -> None:  # fmt: skip
    """Offer all later accounts; whole stretches of them are passed over at once."""
    least = heaps.least
    for start in range(source + 1, sums.size, _STRETCH):
        stop = min(start + _STRETCH, sums.size)
        if is_jaccard:
            for other in range(start, stop):
                sums[other] /= total[source] + total[other] - sums[other]
        own, n_good = least[source], 0
        for other in range(start, stop):
            n_good += (sums[other] >= own) | (sums[other] >= least[other])
        if n_good:
            for other in range(start, stop):
                if sums[other] >= least[source]:
                    _offer(source, other, sums[other], heaps)
                if sums[other] >= least[other]:
                    _offer(other, source, sums[other], heaps)
        sums[start:stop] = 0.0


@numba.njit(cache=CACHE, nogil=True)
def _list_new(others: Any, sums: Any, met: Any, n_met: int) -> int:
    """Append the accounts that were not met so far."""
    for place in range(others.size):
        if sums[others[place]] == 0.0:
            met[n_met] = others[place]
            n_met += 1
    return n_met


@numba.njit(cache=CACHE, nogil=True)
def _add(others: Any, weights: Any, weight: float, is_jaccard: Any, sums: Any) -> None:
    """Add what an object brings to the sums of those that have it, too."""
    if is_jaccard:
        for place in range(others.size):
            sums[others[place]] += min(weight, weights[place])
    else:
        for place in range(others.size):
            sums[others[place]] += weight * weights[place]


@numba.njit(cache=CACHE, nogil=True)
def _offer(account: int, other: int, value: float, heaps: Heaps) -> None:
    """Put a neighbour in the place of the worst one, if it is better; the worst is at the top."""
    values, targets = heaps.similarity[account], heaps.target[account]
    if value == values[0] and other > targets[0]:
        return
    at, size = 0, values.size
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _is_worse(values, targets, child + 1, child):
            child += 1
        if value < values[child] or (value == values[child] and other > targets[child]):
            break
        values[at], targets[at] = values[child], targets[child]
        at = child
    values[at], targets[at] = value, other
    heaps.least[account] = max(values[0], _LEAST)


@numba.njit(cache=CACHE, nogil=True)
def _is_worse(values: Any, targets: Any, one: int, other: int) -> Any:
    if values[one] == values[other]:
        return targets[one] > targets[other]
    return values[one] < values[other]
