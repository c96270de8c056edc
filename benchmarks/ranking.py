"""The ten most similar accounts of each, against sparse_dot_topn (from the package index)."""

from importlib.util import find_spec
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.sharing.similarity import describe_profiles, find_neighbours

N_ACCOUNTS, N_OBJECTS, N_NEIGHBOURS, THREADS = 24_000, 200_000, 10, 2


def run():
    """Yield lines of a report."""
    for n_shares in (1_000_000, 3_000_000):
        yield _compare(n_shares)


def _compare(n_shares: int) -> str:
    profiles = describe_profiles(_draw_shares(n_shares))

    def rank() -> Any:
        return find_neighbours(profiles, n_neighbours=N_NEIGHBOURS, threads=THREADS)

    what = f"{N_ACCOUNTS:,} accounts x {N_OBJECTS:,} objects, {n_shares:,} shares, top 10"
    rank()
    if find_spec("sparse_dot_topn") is None:
        return f"{what}: {_time(rank)[0]:.2f} s; sparse_dot_topn is not installed"
    other = _prepare_peer(profiles)
    pairs = [(_time(rank), _time(other)) for _ in range(5)]
    ours, theirs = (median(each[side][0] for each in pairs) for side in (0, 1))
    ratios = sorted(other[0] / own[0] for own, other in pairs)
    _check(*(found for _, found in pairs[0]))
    return (
        f"{what}: {ours:.2f} s, sparse_dot_topn {theirs:.2f} s, {ratios[0]:.1f} to "
        f"{ratios[-1]:.1f} x (5 pairs in turn, {THREADS} threads each)"
    )


def _draw_shares(n_shares: int) -> Any:
    """Draw accounts and objects by power laws; only what `describe_profiles` reads of shares."""
    rng = np.random.default_rng(0)
    columns = {}
    for name, n, power in (("account", N_ACCOUNTS, 0.7), ("object", N_OBJECTS, 0.8)):
        odds = np.arange(1, n + 1) ** -power
        columns[name] = rng.permutation(n)[rng.choice(n, n_shares, p=odds / odds.sum())]
    tables = (pl.DataFrame({"row": range(n)}) for n in (N_ACCOUNTS, N_OBJECTS))
    return SimpleNamespace(**columns, **dict(zip(("accounts", "objects"), tables, strict=True)))


def _prepare_peer(profiles: Any) -> Any:
    from scipy import sparse
    from sparse_dot_topn import sp_matmul_topn

    start, other, weight = profiles.by_account
    length = np.sqrt(np.bincount(np.repeat(np.arange(N_ACCOUNTS), np.diff(start)), weight**2))
    rows = sparse.csr_matrix((weight / np.repeat(length, np.diff(start)), other, start))
    # Each account is the most similar one to itself.
    return lambda: sp_matmul_topn(rows, rows.T.tocsr(), top_n=N_NEIGHBOURS + 1, n_threads=THREADS)


def _time(work: Any) -> tuple[float, Any]:
    begin = perf_counter()
    found = work()
    return perf_counter() - begin, found


def _check(ours: Any, theirs: Any) -> None:
    """Compare the similarities of each account's neighbours; equal ones may be other accounts."""
    bounds = np.searchsorted(ours.source, np.arange(N_ACCOUNTS + 1))
    for account in range(N_ACCOUNTS):
        row = theirs[account]
        best = np.sort(row.data[row.indices != account])[::-1][:N_NEIGHBOURS]
        own = ours.similarity[bounds[account] : bounds[account + 1]]
        np.testing.assert_allclose(own[: best.size], best[: own.size], rtol=1e-6)
