"""The hot loops over pairs of accounts, on the GPU (CuPy).

In and out: as in `pairs`, on arrays of the device, with results equal to the bit. The
loops are the kernels of pairs.cu; what is here sizes the work by the memory that is free.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import pairwise, product
from typing import Any

import cupy as cp
import numpy as np

# Share of the free memory that a tile may take; its inputs and results take of the rest.
_MEMORY_SHARE = 0.25

# Bytes per pair of a tile (a counter, its segment, a kept pair), and per cell of its sources.
_ENTRY_BYTES = 16
_CELL_BYTES = 48

# Bytes per value of a block of bins (0/1, as a number, and laid out for the product), and per
# count of one (the product, and as an integer).
_BIN_BYTES = 16
_COMMON_BYTES = 16

# Integers up to here, and so all sums of as many 0/1, are exact in single precision.
_MAX_EXACT_BINS = 2**24

_BLOCK_THREADS = 256
_MAX_BLOCKS = 2**20  # of a launch; further items are taken in strides

_CHUNK = 32  # coincidences that a thread tallies in a row
_SEGMENT = 32  # counters that a thread looks through in a row


@cache
def _load_kernels() -> cp.RawModule:
    text = files("gpu_coord.backend").joinpath("pairs.cu").read_text(encoding="utf-8")
    return cp.RawModule(code=text, options=("--std=c++17",))


def _launch(name: str, n_items: int, *args: Any) -> None:
    """Run a kernel on n_items; a grid has at least one block, so no items are no launch."""
    if n_items:
        n_blocks = min(-(-n_items // _BLOCK_THREADS), _MAX_BLOCKS)
        kernel = _load_kernels().get_function(name)
        kernel((n_blocks,), (_BLOCK_THREADS,), (np.int64(n_items), *args))


def _as_kernel_arrays(*arrays: tuple[cp.ndarray, Any]) -> list[cp.ndarray]:
    """Return (array, type) pairs as kernels need them: contiguous, of exactly that type."""
    return [cp.ascontiguousarray(array, dtype=dtype) for array, dtype in arrays]


def count_free_memory() -> int:
    """Return the bytes of the device that are free, or that CuPy holds and doesn't use."""
    free, _ = cp.cuda.runtime.memGetInfo()
    return int(free) + int(cp.get_default_memory_pool().free_bytes())


def count_pairs(
    first: int,
    last: int,
    bound: cp.ndarray,
    n_coincidences: cp.ndarray,
    account_start: cp.ndarray,
    cell_column: cp.ndarray,
    lagged_column: cp.ndarray,
    column_start: cp.ndarray,
    column_account: cp.ndarray,
    min_count: int,
) -> tuple[cp.ndarray, cp.ndarray, cp.ndarray]:
    """Count the lagged coincidences of a range of sources with every target.

    As `pairs.count_pairs`: a tile of dense rows of counters takes the increments, and
    gives up those that are large enough, in their order. ``bound`` and ``n_coincidences`` are not
    needed: results are counted before they are written.
    """
    index = _as_kernel_arrays(
        (account_start, np.int64), (cell_column, np.int32), (lagged_column, np.int32),
        (column_start, np.int64), (column_account, np.int32),
    )  # fmt: skip
    n_rows = _plan_rows(account_start.size - 1, cell_column.size)
    edges = [first, *range(first + n_rows, last, n_rows), last]
    tiles = [_count_tile(start, stop, index, min_count) for start, stop in pairwise(edges)]
    n_kept, targets, counts = (_join(list(parts)) for parts in zip(*tiles, strict=True))
    return n_kept, targets, counts


def _plan_rows(n_accounts: int, n_cells: int) -> int:
    """Return how many sources a tile counts: one at least, whatever it takes."""
    row_bytes = n_accounts * _ENTRY_BYTES + n_cells * _CELL_BYTES // max(1, n_accounts)
    return max(1, int(count_free_memory() * _MEMORY_SHARE) // max(1, row_bytes))


def _join(parts: list[cp.ndarray]) -> cp.ndarray:
    return parts[0] if len(parts) == 1 else cp.concatenate(parts)


def _count_tile(
    first: int, last: int, index: list[cp.ndarray], min_count: int
) -> tuple[cp.ndarray, cp.ndarray, cp.ndarray]:
    """Count the sources first..last-1 at once; results as of `count_pairs`."""
    n_rows, n_accounts = last - first, index[0].size - 1
    counts = _tally(first, n_rows, index)
    n_segments = max(1, -(-n_accounts // _SEGMENT))
    scan = (
        np.int64(n_segments), np.int64(_SEGMENT), np.int64(n_accounts), np.int64(min_count), counts,
    )  # fmt: skip
    n_found = cp.empty(n_rows * n_segments, dtype=np.int64)
    _launch("count_kept", n_found.size, *scan, n_found)
    found_start = _start_ranges(n_found)
    n_pairs = int(found_start[-1])
    targets, kept = cp.empty(n_pairs, dtype=np.int32), cp.empty(n_pairs, dtype=np.int32)
    _launch("write_kept", n_found.size, *scan, found_start, targets, kept)
    row_start = found_start[::n_segments]
    return row_start[1:] - row_start[:-1], targets, kept


def _tally(first: int, n_rows: int, index: list[cp.ndarray]) -> cp.ndarray:
    """Return the dense counters of n_rows sources, (n_rows * n_accounts,)."""
    account_start, cell_column, lagged_column, column_start, _ = index
    counts = cp.zeros(n_rows * (account_start.size - 1), dtype=np.int32)
    cells = slice(int(account_start[first]), int(account_start[first + n_rows]))
    column = lagged_column[cell_column[cells]]
    work_start = _start_ranges(column_start[column + 1] - column_start[column])
    n_work = int(work_start[-1])
    _launch(
        "tally", -(-n_work // _CHUNK), np.int64(_CHUNK), np.int64(n_work), np.int64(first),
        np.int64(n_rows), np.int64(account_start.size - 1), *index, work_start, counts,
    )  # fmt: skip
    return counts


def _start_ranges(sizes: cp.ndarray) -> cp.ndarray:
    """Return where each range begins, and where the last one ends, (n_ranges + 1,)."""
    starts = cp.zeros(sizes.size + 1, dtype=np.int64)
    starts[1:] = cp.cumsum(sizes)
    return starts


def count_shared(
    source: cp.ndarray, target: cp.ndarray, account_start: cp.ndarray, stratum: cp.ndarray
) -> cp.ndarray:
    """Count the strata that both accounts of each pair used; as `pairs.count_shared`."""
    pairs = _as_kernel_arrays(
        (source, np.int32), (target, np.int32), (account_start, np.int64), (stratum, np.int32)
    )
    n_shared = cp.empty(source.size, dtype=np.int64)
    _launch("count_shared", source.size, *pairs, n_shared)
    return n_shared


def count_within_shared(
    source: cp.ndarray,
    target: cp.ndarray,
    shared_start: cp.ndarray,
    account_start: cp.ndarray,
    stratum: cp.ndarray,
    group_start: cp.ndarray,
    cell_bin: cp.ndarray,
    lag: int,
) -> tuple[cp.ndarray, cp.ndarray, cp.ndarray]:
    """List the strata that both accounts of each pair used, with the coincidences in each.

    As `pairs.count_within_shared`.
    """
    pairs = _as_kernel_arrays(
        (source, np.int32), (target, np.int32), (shared_start, np.int64),
        (account_start, np.int64), (stratum, np.int32),
    )  # fmt: skip
    groups = _as_kernel_arrays((group_start, np.int64), (cell_bin, np.int32))
    n_shared = int(shared_start[-1])
    source_group, target_group, count = (cp.empty(n_shared, dtype=np.int32) for _ in range(3))
    _launch("list_shared", source.size, *pairs, source_group, target_group)
    _launch("count_both", n_shared, np.int64(lag), source_group, target_group, *groups, count)
    return source_group, target_group, count


def sum_products(
    source: cp.ndarray,
    target: cp.ndarray,
    source_start: cp.ndarray,
    source_stratum: cp.ndarray,
    source_factors: cp.ndarray,
    target_start: cp.ndarray,
    target_stratum: cp.ndarray,
    target_factors: cp.ndarray,
) -> cp.ndarray:
    """Sum the products of the accounts' factors over the strata that both of each pair used.

    As `pairs.sum_products`.
    """
    rows = _as_kernel_arrays(
        (source, np.int32), (target, np.int32), (source_start, np.int64),
        (source_stratum, np.int32), (source_factors, np.float64), (target_start, np.int64),
        (target_stratum, np.int32), (target_factors, np.float64),
    )  # fmt: skip
    sums = cp.zeros((source.size, source_factors.shape[1]), dtype=np.float64)
    _launch("sum_products", source.size, np.int64(sums.shape[1]), *rows, sums)
    return sums


def count_in_common(
    sources: cp.ndarray, targets: cp.ndarray
) -> tuple[cp.ndarray, cp.ndarray, cp.ndarray]:
    """Count the bins in which each account, and both accounts of each ordered pair, are active.

    As `pairs.count_in_common`, by products of matrices in single precision: exact,
    since no block has more bins than single precision has integers.
    """
    n_entities, n_accounts, n_bins = sources.shape
    both = cp.zeros((n_entities, n_accounts, n_accounts), dtype=np.int64)
    for entities, columns, bins in _cut_common(n_entities, n_accounts, n_bins):
        before = sources[entities, :, bins].astype(np.float32)
        after = targets[entities, columns, bins].astype(np.float32)
        block = both[entities, :, columns]
        block += cp.matmul(before, after.transpose(0, 2, 1)).astype(np.int64)
    return sources.sum(axis=-1, dtype=np.int64), targets.sum(axis=-1, dtype=np.int64), both


def _cut_common(
    n_entities: int, n_accounts: int, n_bins: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Return blocks of entities, targets and bins whose products fit the memory."""
    room = int(count_free_memory() * _MEMORY_SHARE)
    most_bins = room // (_BIN_BYTES * max(1, n_accounts))
    bins = min(max(1, most_bins), _MAX_EXACT_BINS, max(1, n_bins))
    entities = min(max(1, most_bins // bins), max(1, n_entities))
    columns = max(1, room // (_COMMON_BYTES * entities * max(1, n_accounts)))
    return product(_cut(n_entities, entities), _cut(n_accounts, columns), _cut(n_bins, bins))


def _cut(n_items: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n_items)) for start in range(0, n_items, size)]
