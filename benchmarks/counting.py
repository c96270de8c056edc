"""Counting 1.2e8 lagged coincidences of 20,000 accounts, against SciPy's csr @ csr."""

from functools import partial
from statistics import median

import numpy as np
import polars as pl
import scipy.sparse as sp

from benchmarks.measure import median_ratio, time_in_turn
from gpu_coord.activity.cells import Activity
from gpu_coord.activity.counts import (
    CellIndex,
    Margins,
    PairCounts,
    count_margins,
    count_pairs,
    index_cells,
    plan_blocks,
)
from gpu_coord.backend import cpu
from gpu_coord.ground.threads import map_ahead

N_ACCOUNTS, N_ENTITIES, N_BINS = 20_000, 60, 700
BLOCK_BYTES = 64 << 20  # as in `detect`


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
    blocks = plan_blocks(index, [margins], min_support=1, memory=BLOCK_BYTES)

    def count(n_threads: int) -> tuple[int, int]:
        """Return the pairs and their coincidences, as `detect` goes through them."""
        n_pairs = n_coincidences = 0
        count_block = partial(_count_block, index, margins)
        for pairs in map_ahead(blocks, count_block, n_threads=n_threads):
            n_pairs += pairs.support.size
            n_coincidences += int(pairs.support.sum())
        return n_pairs, n_coincidences

    product = sources @ targets
    product.setdiag(0)
    product.eliminate_zeros()
    expected = (product.nnz, int(product.sum()))
    del product
    if (found := count(1)) != expected:
        raise AssertionError(f"pairs and coincidences: {found}, SciPy: {expected}")
    theirs, alone, both = time_in_turn(
        lambda: sources @ targets, lambda: count(1), lambda: count(2), n_rounds=5
    )
    return [
        f"counting: {expected[1]:,} coincidences of {expected[0]:,} pairs; "
        f"SciPy csr @ csr, one core: {median(theirs):.2f} s",
        f"counting: gpu_coord, 1 thread: {median(alone):.2f} s, "
        f"{median_ratio(theirs, alone):.1f} x SciPy",
        f"counting: gpu_coord, 2 threads: {median(both):.2f} s, "
        f"{median_ratio(alone, both):.2f} x one thread",
    ]


def _count_block(index: CellIndex, margins: Margins, block: tuple[int, int]) -> PairCounts:
    return count_pairs(index, margins, *block, min_support=1)


def _make_operands(activity: Activity) -> tuple[sp.csr_array, sp.csr_array]:
    column = activity.entity.astype(np.int64) * N_BINS + activity.bin
    shape = (N_ACCOUNTS, N_ENTITIES * N_BINS)
    leads = activity.bin < N_BINS - 1
    ones = np.ones(column.size, np.int32)
    sources = sp.csr_array((ones[leads], (activity.account[leads], column[leads] + 1)), shape=shape)
    targets = sp.csr_array((ones, (activity.account, column)), shape=shape).T.tocsr()
    return sources, targets
