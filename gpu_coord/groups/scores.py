"""A fold -> z of every pair of accounts that share a stratum: surprise beyond the rhythms.

The one idea: a coincidence weighs the more the fewer others were there, and what is expected of a
pair follows from how often both visit a stratum and from their daily rhythms. For ranking only.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.folds import Fold, count_stratum, weigh_slots
from gpu_coord.groups.rhythms import Rhythms

_LOWEST, _HIGHEST = -2.0, 6.0  # z is clipped: no single pair makes a group
MOST_PAIRS = 1 << 24  # are kept, of 40 bytes while the rows are put together
_ROW_BYTES = 12
_BLOCK_BYTES = 16 << 20
_BLOCK_PRODUCTS = 5_000_000  # visits of others met in one call of the kernel: some 0.2 s


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
    rows = _Rows(fold, rhythms, block_bytes=max(1, min(memory // 8, _BLOCK_BYTES)))
    if n_kept is None:
        lowest, total = np.full(fold.n_accounts, -np.inf), None
    else:
        lowest, total = rows.summarise(n_kept)
    source, target, z = rows.collect(lowest)
    return _mirror(source, target, z, total, fold.n_accounts)


class _Rows:
    """Computes rows of z, block by block."""

    def __init__(self, fold: Fold, rhythms: Rhythms, *, block_bytes: int) -> None:
        by_account = np.argsort(fold.visit_account, kind="stable")
        accounts = np.arange(fold.n_accounts + 1)
        self.fold, self.rhythms = fold, rhythms
        self.account_start = np.searchsorted(fold.visit_account[by_account], accounts)
        self.account_visit = by_account
        self.visit_stratum = fold.visit_stratum
        self.noise = 0.5 * _mean_weight(fold) ** 2
        n_met = np.diff(fold.stratum_start)[self.visit_stratum[by_account]]
        total = np.concatenate([[0], np.cumsum(n_met)])[self.account_start]
        self.n_met = np.diff(total)
        self.bound = np.minimum(self.n_met, fold.n_accounts)
        self.block_bytes = block_bytes

    def plan(self) -> list[tuple[int, int]]:
        """Return ranges of accounts with about as much to hold and to do."""
        cost = np.maximum(self.bound * _ROW_BYTES / self.block_bytes, self.n_met / _BLOCK_PRODUCTS)
        # One more for each account: an empty row takes time too.
        block = np.floor(np.cumsum(cost + 1e-5)).astype(np.int64)
        bounds = np.flatnonzero(np.diff(block, prepend=-1, append=-1))
        return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))

    def score(self, first: int, last: int, *, half: int) -> tuple[Any, Any, Any]:
        """Return the source, target and z of a range of sources; if half, of later targets only."""
        n_bound = int(self.bound[first:last].sum())
        target, z = np.empty(n_bound, np.int32), np.empty(n_bound, np.float32)
        n_kept = np.empty(last - first, np.int64)
        end = _score_rows(
            first, last, half, self.account_start, self.account_visit, self.visit_stratum,
            self.fold, self.rhythms, self.noise, target, z, n_kept,
        )  # fmt: skip
        source = np.repeat(np.arange(first, last, dtype=np.int32), n_kept)
        return source, target[:end], z[:end]

    def summarise(self, n_kept: int) -> Any:
        """Return of each account the n-th highest z, and the sum of all."""

        def work(block: tuple[int, int]) -> tuple[Any, Any]:
            source, _, z = self.score(*block, half=0)
            starts = np.searchsorted(source, np.arange(block[0], block[1] + 1))
            lowest, total = _find_lowest(starts, z, n_kept)
            return lowest, total

        return self._join(work)

    def collect(self, lowest: Any) -> Any:
        """Return each pair once that is among the highest of either account."""

        def work(block: tuple[int, int]) -> tuple[Any, Any, Any]:
            source, target, z = self.score(*block, half=1)
            kept = z >= np.minimum(lowest[source], lowest[target])
            return source[kept], target[kept], z[kept]

        return self._join(work)

    def _join(self, work: Callable[[tuple[int, int]], tuple[Any, ...]]) -> Iterator[Any]:
        """Return the columns that come of all ranges of accounts."""
        parts = list(map_ahead(self.plan(), work, n_threads=self.fold.n_threads))
        return map(np.concatenate, zip(*parts, strict=True))


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
def _find_lowest(starts: Any, z: Any, n_kept: int) -> Any:
    lowest, total = np.full(starts.size - 1, -np.inf), np.zeros(starts.size - 1)
    for row in range(starts.size - 1):
        values = z[starts[row] : starts[row + 1]]
        total[row] = values.sum()
        if values.size > n_kept:
            lowest[row] = np.sort(values)[values.size - n_kept]
    return lowest, total


def _mean_weight(fold: Fold) -> float:
    """Return the mean weight of an event, all accounts counted."""
    return float(_sum_weights(fold)) / max(fold.n_events, 1)


@numba.njit(cache=CACHE, nogil=True)
def _sum_weights(fold: Fold) -> float:
    counts, weight = np.empty(fold.calendar.n_slots), np.empty(fold.calendar.n_slots)
    total = 0.0
    for stratum in range(fold.stratum_start.size - 1):
        count_stratum(stratum, fold, counts)
        weigh_slots(counts, fold, weight)
        total += (counts * weight).sum()
    return total


@numba.njit(cache=CACHE, nogil=True)
def average_slots(weight: Any, width: int, power: int, averaged: Any) -> None:
    """Write the mean of a power of the weights over the bins of each hour."""
    for hour in range(averaged.size):
        total = 0.0
        for slot in range(hour * width, (hour + 1) * width):
            total += weight[slot] ** power
        averaged[hour] = total / width


@numba.njit(cache=CACHE, nogil=True, fastmath=True)
def _dot(first: Any, second: Any, other_first: Any, other_second: Any) -> float:
    total = 0.0
    for hour in range(first.size):
        total += first[hour] * other_first[hour] + second[hour] * other_second[hour]
    return total


@numba.njit(cache=CACHE, nogil=True)
def _expect_visit(share: Any, reached: Any, mean: Any, n_events: int, own: Any,
                  other: Any) -> None:  # fmt: skip
    """Write what another visit's reach and share are to be multiplied with.

    A coincidence has the mean of the weights of both events: half of it for either side.
    """
    for hour in range(mean.size):
        own[hour] = 0.5 * n_events * share[hour] * mean[hour]
        other[hour] = 0.5 * n_events * reached[hour] * mean[hour]


@numba.njit(cache=CACHE, nogil=True)
def _meet_visits(mine: int, other: int, fold: Fold, weight: Any) -> float:
    """Sum the weights of coincidences of two visits, the mean of the weights of both events."""
    visit_start, event_slot, reach = fold.visit_start, fold.event_slot, fold.calendar.reach
    total = 0.0
    stop = visit_start[other + 1]
    start = visit_start[other]
    for event in range(visit_start[mine], visit_start[mine + 1]):
        slot = event_slot[event]
        while start < stop and event_slot[start] < slot - reach:
            start += 1
        for met in range(start, stop):
            if event_slot[met] > slot + reach:
                break
            total += 0.5 * (weight[slot] + weight[event_slot[met]])
    return total


@numba.njit(cache=CACHE, nogil=True)
def _score_rows(first: int, last: int, half: int, account_start: Any, account_visit: Any,
                visit_stratum: Any, fold: Fold, rhythms: Rhythms, noise: float, target: Any,
                z: Any, n_kept: Any) -> int:  # fmt: skip
    """Write target and z of the pairs of the sources first..last-1; return how many there are."""
    n_slots, n_accounts, n_hours = fold.calendar.n_slots, fold.n_accounts, rhythms.share.shape[1]
    stratum_start, visit_start = fold.stratum_start, fold.visit_start
    share, reached = rhythms.share, rhythms.reached
    counts, weight, mean = np.empty(n_slots), np.empty(n_slots), np.empty(n_hours)
    rhythm = np.empty((4, n_hours))
    observed, expected = np.zeros(n_accounts), np.zeros(n_accounts)
    variance = np.zeros(n_accounts)
    listed = np.empty(n_accounts, np.int32)
    end = 0
    for source in range(first, last):
        n_listed = 0
        for position in range(account_start[source], account_start[source + 1]):
            mine = account_visit[position]
            stratum = visit_stratum[mine]
            start = mine + 1 if half else stratum_start[stratum]
            stop = stratum_start[stratum + 1]
            if stop - start < 1 or stop - stratum_start[stratum] < 2:
                continue
            count_stratum(stratum, fold, counts)
            weigh_slots(counts, fold, weight)
            n_events = visit_start[mine + 1] - visit_start[mine]
            for power in range(1, 3):
                average_slots(weight, rhythms.bins_per_hour, power, mean)
                _expect_visit(share[source], reached[source], mean, n_events,
                              rhythm[2 * power - 2], rhythm[2 * power - 1])  # fmt: skip
            for other in range(start, stop):
                account = fold.visit_account[other]
                if account == source:
                    continue
                if variance[account] == 0.0:
                    listed[n_listed] = account
                    n_listed += 1
                n_others = visit_start[other + 1] - visit_start[other]
                observed[account] += _meet_visits(mine, other, fold, weight)
                expected[account] += n_others * _dot(
                    rhythm[0], rhythm[1], reached[account], share[account]
                )
                variance[account] += n_others * _dot(
                    rhythm[2], rhythm[3], reached[account], share[account]
                )
        found = listed[:n_listed]
        found.sort()
        for account in found:
            excess = (observed[account] - expected[account]) / np.sqrt(variance[account] + noise)
            target[end] = account
            z[end] = min(max(excess, _LOWEST), _HIGHEST)
            end += 1
            observed[account] = expected[account] = variance[account] = 0.0
        n_kept[source - first] = n_listed
    return end
