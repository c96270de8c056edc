"""The hot loops over pairs of accounts, on the CPU (Numba).

In: sorted integer arrays. Out: exact integer counts, and sums of floats in a fixed order, equal for
any blocks and any number of threads. A kernel that works on a block of sources runs in one thread
and lets others run. These kernels, and no others, have a second implementation for the GPU.
"""

from typing import Any
from uuid import uuid4

import numba
import numpy as np
from numba.core.caching import IndexDataCacheFile


def _can_keep() -> bool:
    """Ask Numba whether it finds a folder for compiled code: it looks where it will write."""
    try:
        numba.njit(cache=True)(_can_keep)
    except RuntimeError:  # no folder can be written to, that of NUMBA_CACHE_DIR neither
        return False
    return True


# Compiled code is kept where NUMBA_CACHE_DIR says, beside this file or in the home folder;
# without any of these, for one process.
CACHE = _can_keep()


def _name_code(files: Any, number: int) -> str:
    """Name the file of a piece of compiled code as no other process does."""
    name: str = files._data_name_pattern.format(number=uuid4().int >> 96)
    return name


# Numba counts these files. Two processes that compile one function for different types would
# write to the same one, and the index of the first would lead to the code of the second.
IndexDataCacheFile._data_name = _name_code

# Rows that meet fewer than this share of all accounts are sorted, the others are scanned.
_SCAN_SHARE = 0.01

# Word pairs that are compared before a second thread has woken up (some 10 ms under OpenMP).
_SERIAL_WORDS = 50_000_000


@numba.njit(cache=CACHE, nogil=True)
def first_at_least(values: Any, start: int, stop: int, wanted: int) -> int:
    """Return the first position in the ascending values[start:stop] that holds >= wanted.

    It is looked for in growing steps: where two lists are walked along, it is mostly near.
    """
    step = 1
    while start + step <= stop and values[start + step - 1] < wanted:
        start += step
        step *= 2
    stop = min(stop, start + step - 1)
    while start < stop:
        middle = (start + stop) // 2
        if values[middle] < wanted:
            start = middle + 1
        else:
            stop = middle
    return start


@numba.njit(cache=CACHE, nogil=True)
def _count_shifted(
    values: Any, start: int, stop: int, other: int, other_stop: int, lag: int
) -> int:
    """Count x in values[start:stop] with x + lag in values[other:other_stop], both ascending."""
    if stop - start > other_stop - other:
        start, stop, other, other_stop, lag = other, other_stop, start, stop, -lag
    count = 0
    for position in range(start, stop):
        wanted = values[position] + lag
        other = first_at_least(values, other, other_stop, wanted)
        if other == other_stop:
            break
        if values[other] == wanted:
            count += 1
    return count


@numba.njit(cache=CACHE, nogil=True)
def _tally(source: int, account_start: Any, cell_column: Any, lagged_column: Any,
           column_start: Any, column_account: Any, counts: Any) -> None:  # fmt: skip
    """Add one to counts[target] for each coincidence of a source with a target."""
    for cell in range(account_start[source], account_start[source + 1]):
        column = lagged_column[cell_column[cell]]
        for position in range(column_start[column], column_start[column + 1]):
            counts[column_account[position]] += 1
    counts[source] = 0


@numba.njit(cache=CACHE, nogil=True)
def _list_targets(source: int, account_start: Any, cell_column: Any, lagged_column: Any,
                  column_start: Any, column_account: Any, counts: Any,
                  listed: Any) -> int:  # fmt: skip
    """Like _tally, and list the targets met, each once, unsorted; return how many."""
    n_listed = 0
    for cell in range(account_start[source], account_start[source + 1]):
        column = lagged_column[cell_column[cell]]
        for position in range(column_start[column], column_start[column + 1]):
            target = column_account[position]
            if counts[target] == 0 and target != source:
                listed[n_listed] = target
                n_listed += 1
            counts[target] += 1
    counts[source] = 0
    return n_listed


@numba.njit(cache=CACHE, nogil=True)
def _keep_listed(listed: Any, counts: Any, min_count: int, targets: Any, kept: Any) -> int:
    """Move the listed targets with enough coincidences out of the counts, in ascending order."""
    listed.sort()
    n_kept = 0
    for target in listed:
        if counts[target] >= min_count:
            targets[n_kept] = target
            kept[n_kept] = counts[target]
            n_kept += 1
        counts[target] = 0
    return n_kept


@numba.njit(cache=CACHE, nogil=True)
def _keep_scanned(counts: Any, min_count: int, targets: Any, kept: Any) -> int:
    """Move all targets with enough coincidences out of the counts, in ascending order.

    Every target is written and only the good ones advance: no branch to mispredict.
    """
    n_kept = 0
    for target in range(counts.size):
        count = counts[target]
        targets[n_kept] = target
        kept[n_kept] = count
        n_kept += count >= min_count
    counts[:] = 0
    return n_kept


@numba.njit(cache=CACHE, nogil=True)
def _count_rows(first: int, last: int, n_coincidences: Any, account_start: Any, cell_column: Any,
                lagged_column: Any, column_start: Any, column_account: Any, min_count: int,
                targets: Any, counts: Any, n_kept: Any) -> int:  # fmt: skip
    """Count the sources first..last-1 one after the other; return how many pairs were written."""
    n_accounts = account_start.size - 1
    row_counts = np.zeros(n_accounts, np.int32)
    # As wide as what other kernels sort: sorting is compiled for each width anew.
    listed = np.empty(n_accounts, np.int64)
    end = 0
    for source in range(first, last):
        if n_coincidences[source] < n_accounts * _SCAN_SHARE:
            n_listed = _list_targets(source, account_start, cell_column, lagged_column,
                                     column_start, column_account, row_counts, listed)  # fmt: skip
            n_new = _keep_listed(
                listed[:n_listed], row_counts, min_count, targets[end:], counts[end:]
            )
        else:
            _tally(source, account_start, cell_column, lagged_column,
                   column_start, column_account, row_counts)  # fmt: skip
            n_new = _keep_scanned(row_counts, min_count, targets[end:], counts[end:])
        n_kept[source - first] = n_new
        end += n_new
    return end


def count_pairs(
    first: int,
    last: int,
    bound: Any,
    n_coincidences: Any,
    account_start: Any,
    cell_column: Any,
    lagged_column: Any,
    column_start: Any,
    column_account: Any,
    min_count: int,
) -> tuple[Any, Any, Any]:
    """Count the lagged coincidences of a range of sources with every target.

    A coincidence: the source is active in an (entity, bin) column and the target in the column
    of the same entity ``lag`` bins later. One dense row of counters takes the increments
    (Gustavson's sparse product), so a pair without a coincidence costs a scan at most.

    Parameters
    ----------
    first, last
        The sources, last excluded.
    bound
        The most pairs that each of them can have, (last - first,).
    n_coincidences
        Coincidences of each account as a source, itself included, (n_accounts,).
    account_start, cell_column
        The column of each cell, cells sorted by account and column, (n_accounts + 1,), (n_cells,).
    lagged_column
        The column of the same entity, ``lag`` bins later; an empty one if none, (n_columns,).
    column_start, column_account
        The accounts of each column, ascending, (n_columns + 2,), (n_cells,).
    min_count
        Pairs with fewer coincidences are left out; at least 1.

    Returns
    -------
        The number of targets per source, (last - first,); the targets, ascending within each
        source, and their coincidences, (n_pairs,).
    """
    # One entry more than the bound: the scan writes before it knows.
    room = int(bound.sum()) + 1
    targets, counts = np.empty(room, np.int32), np.empty(room, np.int32)
    n_kept = np.empty(last - first, np.int64)
    end = _count_rows(
        first, last, n_coincidences, account_start, cell_column, lagged_column, column_start,
        column_account, min_count, targets, counts, n_kept,
    )  # fmt: skip
    return n_kept, targets[:end], counts[:end]


@numba.njit(cache=CACHE, nogil=True)
def _meet(start: int, stop: int, other: int, other_stop: int, stratum: Any, met: Any,
          met_other: Any) -> None:  # fmt: skip
    """Write the positions at which two ascending runs of strata hold the same one.

    The first run is searched in the other: cost m log n, for a small account against a hub.
    """
    n_met = 0
    for position in range(start, stop):
        other = first_at_least(stratum, other, other_stop, stratum[position])
        if other == other_stop:
            break
        if stratum[other] == stratum[position]:
            met[n_met] = position
            met_other[n_met] = other
            n_met += 1


@numba.njit(cache=CACHE, nogil=True)
def count_shared(source: Any, target: Any, account_start: Any, stratum: Any) -> Any:
    """Count the strata that both accounts of each pair used.

    Parameters
    ----------
    source, target
        The pairs, (n_pairs,).
    account_start, stratum
        The strata (entities, say) of each account, ascending, (n_accounts + 1,), (n_groups,).

    Returns
    -------
        The number of shared strata, (n_pairs,).
    """
    n_shared = np.empty(source.size, np.int64)
    for pair in range(source.size):
        i, j = source[pair], target[pair]
        n_shared[pair] = _count_shifted(
            stratum, account_start[i], account_start[i + 1], account_start[j],
            account_start[j + 1], 0,
        )  # fmt: skip
    return n_shared


@numba.njit(cache=CACHE, nogil=True)
def count_within_shared(
    source: Any,
    target: Any,
    shared_start: Any,
    account_start: Any,
    stratum: Any,
    group_start: Any,
    cell_bin: Any,
    lag: int,
) -> Any:
    """List the strata that both accounts of each pair used, with the coincidences in each.

    Parameters
    ----------
    source, target
        The pairs, (n_pairs,).
    shared_start
        Where the shared strata of each pair begin, (n_pairs + 1,); see `count_shared`.
    account_start, stratum
        The strata of each account, ascending: its groups, (n_accounts + 1,), (n_groups,).
    group_start, cell_bin
        The active bins of each group, ascending, (n_groups + 1,), (n_cells,).
    lag
        Bins from the source's activity to the target's.

    Returns
    -------
        The source's group, the target's group and the coincidences, each (n_shared,).
    """
    n_shared = shared_start[shared_start.size - 1]
    source_group = np.empty(n_shared, np.int32)
    target_group = np.empty(n_shared, np.int32)
    count = np.empty(n_shared, np.int32)
    for pair in range(source.size):
        start, stop = shared_start[pair], shared_start[pair + 1]
        first, last = account_start[source[pair]], account_start[source[pair] + 1]
        other, other_last = account_start[target[pair]], account_start[target[pair] + 1]
        if last - first <= other_last - other:
            _meet(first, last, other, other_last, stratum,
                  source_group[start:stop], target_group[start:stop])  # fmt: skip
        else:
            _meet(other, other_last, first, last, stratum,
                  target_group[start:stop], source_group[start:stop])  # fmt: skip
        for shared in range(start, stop):
            i, j = source_group[shared], target_group[shared]
            count[shared] = _count_shifted(
                cell_bin,
                group_start[i],
                group_start[i + 1],
                group_start[j],
                group_start[j + 1],
                lag,
            )
    return source_group, target_group, count


@numba.njit(cache=CACHE, nogil=True)
def _sum_products(source: Any, target: Any, source_start: Any, source_stratum: Any,
                  source_factors: Any, target_start: Any, target_stratum: Any, target_factors: Any,
                  sums: Any) -> None:  # fmt: skip
    """Add to sums[pair] over shared strata; the shorter row is searched in the longer one."""
    for pair in range(source.size):
        i, stop = source_start[source[pair]], source_start[source[pair] + 1]
        j, other_stop = target_start[target[pair]], target_start[target[pair] + 1]
        is_short = stop - i <= other_stop - j
        while i < stop and j < other_stop:
            if is_short:
                stratum = source_stratum[i]
                j = first_at_least(target_stratum, j, other_stop, stratum)
            else:
                stratum = target_stratum[j]
                i = first_at_least(source_stratum, i, stop, stratum)
            if i < stop and j < other_stop and source_stratum[i] == target_stratum[j]:
                for factor in range(sums.shape[1]):
                    sums[pair, factor] += source_factors[i, factor] * target_factors[j, factor]
            if is_short:
                i += 1
            else:
                j += 1


def sum_products(
    source: Any,
    target: Any,
    source_start: Any,
    source_stratum: Any,
    source_factors: Any,
    target_start: Any,
    target_stratum: Any,
    target_factors: Any,
) -> Any:
    """Sum the products of the accounts' factors over the strata that both of each pair used.

    Parameters
    ----------
    source, target
        The pairs, (n_pairs,).
    source_start, source_stratum, source_factors
        The strata of each account as a source, ascending, and numbers for each of these,
        (n_accounts + 1,), (n_source_rows,), (n_source_rows, n_sums).
    target_start, target_stratum, target_factors
        The same of each account as a target.

    Returns
    -------
        (n_pairs, n_sums), double precision. Terms are rounded and added one by one, strata
        ascending: the same to the bit on every backend, for any blocks.
    """
    sums = np.zeros((source.size, source_factors.shape[1]))
    _sum_products(
        source, target, source_start, source_stratum, source_factors, target_start, target_stratum,
        target_factors, sums,
    )  # fmt: skip
    return sums


@numba.njit(cache=CACHE, nogil=True, inline="always")
def _count_bits(word: Any) -> Any:
    """Return the number of set bits; LLVM makes the population-count instruction of this."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


def count_in_common(sources: Any, targets: Any) -> Any:
    """Count the bins in which each account, and both accounts of each ordered pair, are active.

    Parameters
    ----------
    sources, targets
        0/1 activity as bytes or booleans, (n_entities, n_accounts, n_bins).

    Returns
    -------
        Integers: of sources and targets (n_entities, n_accounts), of both
        (n_entities, n_accounts, n_accounts), ``[entity, source, target]``.
    """
    sources, targets = _pack_bits(sources), _pack_bits(targets)
    serial = sources.size * sources.shape[1] <= _SERIAL_WORDS
    count = _count_common_serial if serial else _count_common_parallel
    return (
        np.bitwise_count(sources).sum(axis=-1, dtype=np.int64),
        np.bitwise_count(targets).sum(axis=-1, dtype=np.int64),
        count(sources, targets),
    )


def _pack_bits(active: Any) -> Any:
    """Pack 0/1 activity into 64-bit words along the last axis, padded with zeros."""
    octets = np.packbits(active, axis=-1)
    # Long rows end with a whole turn of the vector loop: what is left of one is counted singly.
    unit = 8 if octets.shape[-1] < 512 else 256
    n_octets = -(-octets.shape[-1] // unit) * unit
    words = np.zeros((*octets.shape[:-1], n_octets), np.uint8)
    words[..., : octets.shape[-1]] = octets
    return words.view(np.uint64)


def _count_common(sources: Any, targets: Any) -> Any:
    """Count the bits set in both of every (source, target) pair of rows of 64-bit words."""
    n_entities, n_accounts, n_words = sources.shape
    counts = np.empty((n_entities, n_accounts, n_accounts), np.int64)
    for row in numba.prange(n_entities * n_accounts):
        entity, source = row // n_accounts, row % n_accounts
        for target in range(n_accounts):
            n_common = np.uint64(0)
            for word in range(n_words):
                n_common += _count_bits(
                    sources[entity, source, word] & targets[entity, target, word]
                )
            counts[entity, source, target] = n_common
    return counts


_count_common_serial = numba.njit(cache=CACHE, nogil=True)(_count_common)
_count_common_parallel = numba.njit(cache=CACHE, nogil=True, parallel=True)(_count_common)
