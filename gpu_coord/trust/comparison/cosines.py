"""Weights of accounts by object -> the cosine of every pair, and how often chance gives as much.

The one idea: an account's cosines with all later ones are added up object by object, so the cost is
that of the meetings, and only pairs with something in common are ever held.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np

from gpu_coord.activity.counts import cut_rows
from gpu_coord.backend.pairs import CACHE, first_at_least
from gpu_coord.ground.threads import map_ahead
from gpu_coord.sharing.similarity import Rows
from gpu_coord.trust.comparison.figures import Pairs

MAX_PAIRS = 40_000_000  # 16 bytes each
_BLOCK_PRODUCTS = 5_000_000  # that one call of a kernel adds up: some 10 ms
_FEW = 4  # accounts or objects, with fewer ARPACK does not work
_ROUNDING = 1e-9  # what is equal but for the last bits is equal


def weigh_rows(account: Any, object: Any, n_accounts: int, weigh: Callable[[Any], Any]) -> Any:
    """Return how often each account used each object, weighed, each row of length 1.

    Parameters
    ----------
    account, object
        Of each use, (n_uses,).
    n_accounts
        Accounts, those without a use included.
    weigh
        From the number of accounts of each object, (n_objects,), its weight.

    Returns
    -------
        A sparse matrix, (n_accounts, n_objects).
    """
    from scipy import sparse

    n_objects = int(object.max(initial=-1)) + 1
    matrix = sparse.csr_matrix((np.ones(account.size), (account, object)), (n_accounts, n_objects))
    matrix.data *= weigh(matrix.getnnz(axis=0))[matrix.indices]
    matrix.eliminate_zeros()
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data /= np.repeat(length, np.diff(matrix.indptr))
    return matrix


def list_cosines(matrix: Any, *, threads: int) -> Pairs | None:
    """Return all pairs with a cosine above 0, by source, then target (source < target).

    Parameters
    ----------
    matrix
        From `weigh_rows`.
    threads
        Blocks of accounts to work on at a time.

    Returns
    -------
        None where they are more than 40 million.
    """
    rows, columns = _read(matrix)
    blocks = _cut(rows, columns)
    count = partial(_count_met, rows=rows, columns=columns)
    n_met = np.concatenate(
        [np.empty(0, np.int64), *map_ahead(blocks, lambda b: count(*b), n_threads=threads)]
    )
    if n_met.sum() > MAX_PAIRS:
        return None
    fill = partial(_list_met, rows=rows, columns=columns)
    ends = np.concatenate([[0], np.cumsum(n_met)])
    target, cosine = np.empty(int(ends[-1]), np.int32), np.empty(int(ends[-1]))

    def work(block: tuple[int, int]) -> None:
        own = slice(int(ends[block[0]]), int(ends[block[1]]))
        fill(*block, start=ends[block[0] :] - ends[block[0]], target=target[own], sums=cosine[own])

    for _ in map_ahead(blocks, work, n_threads=threads):
        pass
    source = np.repeat(np.arange(n_met.size, dtype=np.int32), n_met)
    return Pairs(source, target, cosine)


def count_as_similar(matrix: Any, pairs: Pairs, counts: Any, *, threads: int) -> None:
    """Add 1 to the count of each pair that is as similar here as it was.

    Parameters
    ----------
    matrix
        From `weigh_rows`, of the same accounts.
    pairs
        From `list_cosines`.
    counts
        Of each pair, int32; changed.
    threads
        Blocks of accounts to work on at a time.
    """
    rows, columns = _read(matrix)
    start = np.searchsorted(pairs.source, np.arange(rows.start.size))
    wanted = pairs.score * (1 - _ROUNDING)
    work = partial(
        _compare, rows=rows, columns=columns, start=start, target=pairs.target, wanted=wanted,
        counts=counts,
    )  # fmt: skip
    for _ in map_ahead(_cut(rows, columns), lambda b: work(*b), n_threads=threads):
        pass


def find_centrality(matrix: Any) -> Any:
    """Return the eigenvector centrality of each account in the network of cosines, (n_accounts,).

    By Lanczos' method (ARPACK, begun with equal values), without the network itself: rows have
    length 1, so the matrix times its transpose is the network with a loop of weight 1 at each
    account, which moves no eigenvector.

    Parameters
    ----------
    matrix
        From `weigh_rows`.
    """
    from scipy.sparse.linalg import svds

    has_any = np.flatnonzero(matrix.getnnz(axis=1))
    centrality = np.zeros(matrix.shape[0])
    if has_any.size < _FEW or matrix.shape[1] < _FEW:
        if has_any.size:
            centrality[has_any] = np.abs(np.linalg.svd(matrix[has_any].toarray())[0][:, 0])
        return centrality
    used = matrix[has_any]
    # The network's leading eigenvector is the matrix's leading left singular vector.
    begin = np.ones(min(used.shape))
    centrality[has_any] = np.abs(svds(used, k=1, v0=begin)[0][:, 0])
    return centrality


def _read(matrix: Any) -> tuple[Rows, Rows]:
    def read(each: Any) -> Rows:
        each.sort_indices()
        return Rows(each.indptr.astype(np.int64), each.indices.astype(np.int32), each.data)

    return read(matrix), read(matrix.tocsc())


def _cut(rows: Rows, columns: Rows) -> list[tuple[int, int]]:
    n_products = np.diff(columns.start)[rows.other]
    by_account = np.diff(np.concatenate([[0], np.cumsum(n_products)])[rows.start])
    return cut_rows(by_account + 1, _BLOCK_PRODUCTS)


# --- kernels -------------------------------------------------------------------------------


@numba.njit(cache=CACHE, nogil=True)
def _add_later(source: int, rows: Rows, columns: Rows, sums: Any, met: Any) -> int:
    """Add up the products with later accounts; list those that were met, and return how many."""
    n_met = 0
    for entry in range(rows.start[source], rows.start[source + 1]):
        weight, object = rows.weight[entry], rows.other[entry]
        stop = columns.start[object + 1]
        for place in range(
            first_at_least(columns.other, columns.start[object], stop, source + 1), stop
        ):
            other = columns.other[place]
            if sums[other] == 0.0:
                met[n_met] = other
                n_met += 1
            sums[other] += weight * columns.weight[place]
    return n_met


@numba.njit(cache=CACHE, nogil=True)
def _count_met(first: int, last: int, rows: Rows, columns: Rows) -> Any:
    n_accounts = rows.start.size - 1
    sums, met = np.zeros(n_accounts), np.empty(n_accounts, np.int32)
    n_met = np.empty(last - first, np.int64)
    for source in range(first, last):
        n_met[source - first] = _add_later(source, rows, columns, sums, met)
        for place in range(n_met[source - first]):
            sums[met[place]] = 0.0
    return n_met


@numba.njit(cache=CACHE, nogil=True)
def _list_met(first: int, last: int, rows: Rows, columns: Rows, start: Any, target: Any,
              sums: Any) -> None:  # fmt: skip
    n_accounts = rows.start.size - 1
    added, met = np.zeros(n_accounts), np.empty(n_accounts, np.int32)
    for source in range(first, last):
        n_met = _add_later(source, rows, columns, added, met)
        ordered = np.sort(met[:n_met])
        for place in range(n_met):
            target[start[source - first] + place] = ordered[place]
            sums[start[source - first] + place] = added[ordered[place]]
            added[ordered[place]] = 0.0


@numba.njit(cache=CACHE, nogil=True)
def _compare(first: int, last: int, rows: Rows, columns: Rows, start: Any, target: Any,
             wanted: Any, counts: Any) -> None:  # fmt: skip
    n_accounts = rows.start.size - 1
    sums, met = np.zeros(n_accounts), np.empty(n_accounts, np.int32)
    for source in range(first, last):
        n_met = _add_later(source, rows, columns, sums, met)
        for place in range(start[source], start[source + 1]):
            counts[place] += sums[target[place]] >= wanted[place]
        for place in range(n_met):
            sums[met[place]] = 0.0
