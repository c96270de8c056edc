"""A fold -> z of every pair of accounts that share a stratum: surprise beyond the rhythms.

The one idea: a coincidence weighs the more the fewer others were there, and what is expected of a
pair follows from how often both visit a stratum and from their daily rhythms: how likely they are
within reach is one number of the pair, what that weighs one of each visit. For ranking only.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.folds import BLOCK_EVENTS, Fold, count_stratum, weigh_slots
from gpu_coord.groups.rhythms import Rhythms

_LOWEST, _HIGHEST = -2.0, 6.0  # z is clipped: no single pair makes a group
MOST_PAIRS = 1 << 24  # are kept, of 40 bytes while the rows are put together
_ROW_BYTES = 12
_BLOCK_BYTES = 16 << 20
_BLOCK_PRODUCTS = 10_000_000  # visits of others met in one call of the kernel: some 0.2 s


class Scores(NamedTuple):
    """Symmetric z: of a pair, its kept entry plus the mean of both accounts' base."""

    row_start: Any  # (n_accounts + 1,)
    column: Any  # ascending within a row, (n_entries,)
    value: Any  # z less the bases, (n_entries,)
    base: Any  # mean z of an account's pairs without an entry, (n_accounts,)

    @property
    def n_accounts(self) -> int:
        """Accounts, those without a pair included."""
        return int(self.base.size)


def limit_pairs(fold: Fold, *, most: int = MOST_PAIRS) -> int | None:
    """Return how many of each account's pairs can be kept; None where all can.

    It depends on the archive alone, not on the machine: the same groups are found everywhere.
    """
    users = np.diff(fold.stratum_start)
    n_accounts = fold.n_accounts
    n_pairs = min(int((users * (users - 1) // 2).sum()), n_accounts * (n_accounts - 1) // 2)
    return None if n_pairs <= most else max(1, most // n_accounts)


def score_pairs(fold: Fold, rhythms: Rhythms, *, memory: int, n_kept: int | None = None) -> Scores:
    """Score all pairs, or keep each account's highest, and the mean of the rest.

    Parameters
    ----------
    fold, rhythms
        What happened, and what the accounts are used to.
    memory
        Bytes that blocks of scores under way may take.
    n_kept
        How many of each account's are kept, from `limit_pairs`.
    """
    weights = _weigh_fold(fold, rhythms)
    blocks = _plan_rows(fold, block_bytes=max(1, min(memory // 8, _BLOCK_BYTES)))

    def work(block: tuple[int, int, int]) -> tuple[Any, ...]:
        return _score_block(*block, fold, rhythms, weights, n_kept)

    parts = list(map_ahead(blocks, work, n_threads=fold.n_threads))
    source, target, z, total = map(np.concatenate, zip(*parts, strict=True))
    del parts
    if n_kept is None:
        return _mirror(source, target, z, None, fold.n_accounts)
    first, second = np.minimum(source, target), np.maximum(source, target)
    pair = first.astype(np.int64) * fold.n_accounts + second
    order = np.argsort(pair)  # one of the highest of both accounts stands twice, with the same z
    pair = pair[order]
    is_new = np.diff(pair, prepend=-1) != 0
    source, target = np.divmod(pair[is_new], fold.n_accounts)
    return _mirror(source, target, z[order[is_new]], total, fold.n_accounts)


class _Weights(NamedTuple):
    """What events weigh, and what coincidences are expected to."""

    event: Any  # (n_events,)
    # Half of what a visit's events would weigh as coincidences with its own rhythm, (n_visits,).
    expected: Any
    squared: Any  # the same of the squares, (n_visits,)
    noise: float  # variance of a pair that has met once


def _weigh_fold(fold: Fold, rhythms: Rhythms) -> _Weights:
    own = rhythms.share * rhythms.reached
    own = (own / own.sum(axis=1, keepdims=True)).astype(np.float32)
    expected, squared = np.empty((2, fold.visit_account.size), np.float32)
    event = np.empty(fold.n_events, np.float32)
    starts = fold.visit_start[fold.stratum_start]
    ends = np.searchsorted(starts, np.arange(BLOCK_EVENTS, fold.n_events, BLOCK_EVENTS))
    bounds = np.unique(np.concatenate([[0], ends, [fold.n_strata]]))

    def work(block: tuple[int, int]) -> None:
        _weigh_strata(*block, fold, own, rhythms.bins_per_hour, event, expected, squared)

    for _ in map_ahead(pairwise(bounds.tolist()), work, n_threads=fold.n_threads):
        pass
    noise = 0.5 * float(event.mean(dtype=np.float64)) ** 2 if fold.n_events else 0.0
    return _Weights(event, expected, squared, noise)


def _plan_rows(fold: Fold, *, block_bytes: int) -> list[tuple[int, int, int]]:
    """Return ranges of accounts with about as much to do, and the most pairs that each can have."""
    n_met = np.diff(fold.stratum_start)[fold.visit_stratum[fold.account_visit]]
    n_met = np.diff(np.concatenate([[0], np.cumsum(n_met)])[fold.account_start])
    bound = np.minimum(n_met, fold.n_accounts)
    # One more for each account: an empty row takes time too.
    cost = np.maximum(bound * _ROW_BYTES / block_bytes, n_met / _BLOCK_PRODUCTS) + 1e-5
    block = np.floor(np.cumsum(cost)).astype(np.int64)
    bounds = np.flatnonzero(np.diff(block, prepend=-1, append=-1))
    ranges = pairwise(bounds.tolist())
    return [(first, last, int(bound[first:last].sum())) for first, last in ranges]


def _score_block(
    first: int, last: int, n_bound: int, fold: Fold, rhythms: Rhythms, weights: _Weights,
    n_kept: int | None,
) -> tuple[Any, ...]:  # fmt: skip
    """Return source, target and z of the pairs of a range of sources, and the sum of each.

    Each pair once, from its smaller account; or the highest of each source, and all in the sums.
    """
    target, z = np.empty(n_bound, np.int32), np.empty(n_bound, np.float32)
    n_found, total = np.empty(last - first, np.int64), np.empty(last - first)
    end = _score_rows(
        first, last, -1 if n_kept is None else n_kept, fold, rhythms, weights, target, z, n_found,
        total,
    )  # fmt: skip
    source = np.repeat(np.arange(first, last, dtype=np.int32), n_found)
    return source, target[:end].copy(), z[:end].copy(), total


def _mirror(source: Any, target: Any, z: Any, total: Any, n_accounts: int) -> Scores:
    """Return the pairs from both sides."""
    n_entries = np.bincount(source, minlength=n_accounts)
    n_entries += np.bincount(target, minlength=n_accounts)
    row_start = np.concatenate([[0], np.cumsum(n_entries)])
    column, value = np.empty(2 * z.size, np.int32), np.empty(2 * z.size, np.float32)
    base = np.zeros(n_accounts)
    if total is not None:
        kept = np.bincount(source, z, n_accounts) + np.bincount(target, z, n_accounts)
        n_others = n_accounts - 1 - n_entries
        base = np.where(n_others > 0, (total - kept) / np.maximum(n_others, 1), 0.0)
    _fill_mirror(source, target, z, base, row_start[:-1].copy(), column, value)
    return Scores(row_start, column, value, base)


@numba.njit(cache=CACHE, nogil=True)
def _fill_mirror(source: Any, target: Any, z: Any, base: Any, free: Any, column: Any,
                 value: Any) -> None:  # fmt: skip
    """Write both directions of pairs sorted by source and target: columns ascend in each row."""
    for direction in range(2):
        for pair in range(source.size):
            row = target[pair] if direction == 0 else source[pair]
            other = source[pair] if direction == 0 else target[pair]
            column[free[row]] = other
            value[free[row]] = z[pair] - 0.5 * (base[row] + base[other])
            free[row] += 1


@numba.njit(cache=CACHE, nogil=True)
def average_slots(weight: Any, width: int, mean: Any, mean_square: Any) -> None:
    """Write the means of the weights and of their squares over the bins of each hour."""
    for hour in range(mean.size):
        total, total_square = 0.0, 0.0
        for slot in range(hour * width, (hour + 1) * width):
            total += weight[slot]
            total_square += weight[slot] * weight[slot]
        mean[hour], mean_square[hour] = total / width, total_square / width


@numba.njit(cache=CACHE, nogil=True)
def _weigh_strata(first: int, last: int, fold: Fold, own: Any, bins_per_hour: int,
                  event_weight: Any, expected: Any, squared: Any) -> None:  # fmt: skip
    """Write the weight of each event of some strata, and what each visit's are expected to be.

    Where few others are awake an event weighs more: who has such a rhythm, expects that.
    """
    counts, weight = np.empty(fold.calendar.n_slots), np.empty(fold.calendar.n_slots)
    mean = np.empty(own.shape[1], np.float32)
    mean_square = np.empty(own.shape[1], np.float32)
    for stratum in range(first, last):
        count_stratum(stratum, fold, counts)
        weigh_slots(counts, fold, weight)
        average_slots(weight, bins_per_hour, mean, mean_square)
        for visit in range(fold.stratum_start[stratum], fold.stratum_start[stratum + 1]):
            account = fold.visit_account[visit]
            half = 0.5 * (fold.visit_start[visit + 1] - fold.visit_start[visit])
            expected[visit] = half * _multiply_hours(own[account], mean)
            squared[visit] = half * _multiply_hours(own[account], mean_square)
            for event in range(fold.visit_start[visit], fold.visit_start[visit + 1]):
                event_weight[event] = weight[fold.event_slot[event]]


@numba.njit(cache=CACHE, nogil=True)
def _meet_visits(first: int, second: int, fold: Fold, event_weight: Any) -> float:
    """Sum the weights of coincidences of two visits, the mean of the weights of both events."""
    visit_start, event_slot, reach = fold.visit_start, fold.event_slot, fold.calendar.reach
    total = 0.0
    start, stop = visit_start[second], visit_start[second + 1]
    for event in range(visit_start[first], visit_start[first + 1]):
        slot = event_slot[event]
        while start < stop and event_slot[start] < slot - reach:
            start += 1
        for met in range(start, stop):
            if event_slot[met] > slot + reach:
                break
            total += 0.5 * (event_weight[event] + event_weight[met])
    return total


@numba.njit(cache=CACHE, nogil=True, fastmath=True)
def _multiply_hours(first: Any, second: Any) -> float:
    """Return the sum of products: in whatever order is fastest, but always in the same."""
    total = 0.0
    for hour in range(first.size):
        total += first[hour] * second[hour]
    return total


@numba.njit(cache=CACHE, nogil=True)
def _score_rows(first: int, last: int, n_kept: int, fold: Fold, rhythms: Rhythms,
                weights: _Weights, target: Any, z: Any, n_found: Any,
                total: Any) -> int:  # fmt: skip
    """Write target and z of the pairs of the sources first..last-1; return how many there are.

    n_kept -1: all pairs with a later account; otherwise the highest of each source.
    """
    # Observed weight, expected weight and its square, for each other account.
    sums = np.zeros((fold.n_accounts, 3), np.float32)
    listed = np.empty(fold.n_accounts, np.int64)  # sorting is compiled for each width anew
    end = np.int64(0)  # a plain 0 would have the callees compiled twice
    for source in range(first, last):
        n_listed = _meet_others(source, n_kept, fold, weights, sums, listed)
        if n_kept < 0:
            found = listed[:n_listed]
            found.sort()
        start = end
        end, total[source - first] = _score_row(
            source, listed[:n_listed], n_kept, rhythms, weights.noise, sums, target, z, end
        )
        if n_kept >= 0 and end - start > n_kept:
            end = _keep_highest(start, end, n_kept, target, z)
        n_found[source - first] = end - start
    for place in range(end):
        z[place] = min(max(z[place], _LOWEST), _HIGHEST)
    return int(end)


@numba.njit(cache=CACHE, nogil=True)
def _meet_others(source: int, n_kept: int, fold: Fold, weights: _Weights, sums: Any,
                 listed: Any) -> int:  # fmt: skip
    """Add up what an account and each other one did in the same strata; return how many they are.

    n_kept -1: only with later accounts.
    """
    visit_start, event_slot, event_weight = fold.visit_start, fold.event_slot, weights.event
    reach, n_listed = fold.calendar.reach, 0
    for place in range(fold.account_start[source], fold.account_start[source + 1]):
        mine = fold.account_visit[place]
        stratum = fold.visit_stratum[mine]
        event = visit_start[mine]
        n_events = visit_start[mine + 1] - event
        expected, squared = weights.expected[mine], weights.squared[mine]
        start = mine + 1 if n_kept < 0 else fold.stratum_start[stratum]
        met = visit_start[start]
        for other in range(start, fold.stratum_start[stratum + 1]):
            next_met = visit_start[other + 1]
            n_others = next_met - met
            if other != mine:
                account = fold.visit_account[other]
                if sums[account, 1] == 0.0:
                    listed[n_listed] = account
                    n_listed += 1
                if n_events == 1 and n_others == 1:
                    if abs(event_slot[event] - event_slot[met]) <= reach:
                        sums[account, 0] += 0.5 * (event_weight[event] + event_weight[met])
                else:
                    sums[account, 0] += _meet_visits(min(mine, other), max(mine, other), fold,
                                                     event_weight)  # fmt: skip
                sums[account, 1] += n_others * expected + n_events * weights.expected[other]
                sums[account, 2] += n_others * squared + n_events * weights.squared[other]
            met = next_met
    return n_listed


@numba.njit(cache=CACHE, nogil=True)
def _score_row(source: int, found: Any, n_kept: int, rhythms: Rhythms, noise: float, sums: Any,
               target: Any, z: Any, end: int) -> Any:  # fmt: skip
    """Write z of a row; return where it ends, and the sum of all.

    n_kept -1: of all pairs; otherwise what is positive. Of pairs that never coincide only the sum
    is needed then, and everybody's rhythm is good enough.
    """
    total, pooled = 0.0, _multiply_hours(rhythms.pooled, rhythms.around)
    for account in found:
        observed, expected, squared = sums[account]
        sums[account] = 0.0
        near = pooled
        if n_kept < 0 or observed > 0.0:
            low, high = min(source, account), max(source, account)
            near = _multiply_hours(rhythms.share[low], rhythms.reached[high])
        excess = (observed - near * expected) / np.sqrt(near * squared + noise)
        total += min(max(excess, _LOWEST), _HIGHEST)
        if n_kept < 0 or excess > 0.0:
            target[end], z[end] = account, excess
            end += 1
    return end, total


@numba.njit(cache=CACHE, nogil=True)
def _keep_highest(start: int, end: int, n_kept: int, target: Any, z: Any) -> int:
    """Move the highest of a row to its start, of equal ones those that come first."""
    lowest = np.partition(z[start:end], end - start - n_kept)[end - start - n_kept]
    n_equal = n_kept
    for place in range(start, end):
        n_equal -= z[place] > lowest
    kept = start
    for place in range(start, end):
        if z[place] > lowest or (z[place] == lowest and n_equal > 0):
            n_equal -= z[place] == lowest
            target[kept], z[kept] = target[place], z[place]
            kept += 1
    return kept
