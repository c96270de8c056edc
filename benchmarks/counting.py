"""Counting 1.2e8 lagged coincidences of 20,000 accounts, against SciPy's csr @ csr."""

import numba
import numpy as np
import polars as pl
import scipy.sparse as sp

from benchmarks.measure import time_median
from gpu_coord.activity import Activity
from gpu_coord.backend import cpu
from gpu_coord.transitions import count_margins, count_pairs, index_cells, plan_blocks

N_ACCOUNTS, N_ENTITIES, N_BINS = 20_000, 60, 700
BLOCK_BYTES = 512 << 20  # as in `detect`


def make_activity(n_cells: int = 1_600_000) -> Activity:
    """Return uneven accounts on uneven entities: 1.2e8 coincidences."""
    rng = np.random.default_rng(0)
    account = (N_ACCOUNTS * rng.random(n_cells) ** 1.5).astype(np.int64)
    entity = (N_ENTITIES * rng.random(n_cells) ** 2).astype(np.int64)
    bin = (N_BINS * rng.random(n_cells)).astype(np.int64)
    cell = np.unique((entity * N_BINS + bin) * N_ACCOUNTS + account)
    return Activity(
        backend=cpu(),
        bin_seconds=3600,
        first_bin=0,
        n_bins=N_BINS,
        kinds=("hashtag",),
        missing_kinds=(),
        accounts=pl.DataFrame({"account_id": np.arange(N_ACCOUNTS).astype(str)}),
        entities=pl.DataFrame({"kind": ["hashtag"] * N_ENTITIES}),
        entity=(cell // N_ACCOUNTS // N_BINS).astype(np.int32),
        bin=cell // N_ACCOUNTS % N_BINS,
        account=(cell % N_ACCOUNTS).astype(np.int32),
        n_dropped={},
    )


def run() -> list[str]:
    """Return lines of a report."""
    activity = make_activity()
    index = index_cells(activity)
    margins = count_margins(index, 1)
    sources, targets = _make_operands(activity)

    def count() -> int:
        total = 0
        for first, last in plan_blocks(index, [margins], min_support=1, memory=BLOCK_BYTES):
            total += int(count_pairs(index, margins, first, last, min_support=1).support.sum())
        return total

    product = sources @ targets
    product.setdiag(0)
    if (n_coincidences := count()) != int(product.sum()):
        raise AssertionError(f"{n_coincidences} coincidences, SciPy counts {product.sum()}")
    del product
    theirs = time_median(lambda: sources @ targets)
    lines = [f"counting: {n_coincidences:,} coincidences; SciPy csr @ csr {theirs:.2f} s"]
    before, alone = numba.get_num_threads(), 0.0
    for threads in range(1, before + 1):
        numba.set_num_threads(threads)
        mine = time_median(count)
        alone = alone or mine
        lines.append(
            f"counting: gpu_coord, {threads} threads: {mine:.2f} s, {theirs / mine:.1f} x SciPy, "
            f"{alone / mine:.2f} x one thread"
        )
    numba.set_num_threads(before)
    return lines


def _make_operands(activity: Activity) -> tuple[sp.csr_array, sp.csr_array]:
    column = activity.entity.astype(np.int64) * N_BINS + activity.bin
    shape = (N_ACCOUNTS, N_ENTITIES * N_BINS)
    leads = activity.bin < N_BINS - 1
    ones = np.ones(column.size, np.int32)
    sources = sp.csr_array((ones[leads], (activity.account[leads], column[leads] + 1)), shape=shape)
    targets = sp.csr_array((ones, (activity.account, column)), shape=shape).T.tocsr()
    return sources, targets
