"""A set of accounts -> for every account, whether it keeps company with the set beyond its habits.

The one idea: an event counts the more, the more members were there within reach of it; the mean
and variance of the sum follow from the account's own rhythm and the crowd without it.
"""

from typing import Any

import numba
import numpy as np

from gpu_coord.backend.pairs import CACHE
from gpu_coord.ground.threads import map_ahead
from gpu_coord.groups.crowds import count_outsiders, tilt_slots
from gpu_coord.groups.folds import Fold
from gpu_coord.groups.rhythms import Rhythms


def assess_accounts(
    fold: Fold, rhythms: Rhythms, inside: Any, *, baseline: float = 1.0, n_threads: int
) -> Any:
    """Return the p-value of each account, (n_accounts,); 1 where it met nobody.

    Parameters
    ----------
    fold, rhythms
        What happened, and what the accounts are used to.
    inside
        Who is in the set, (n_accounts,) booleans.
    baseline
        Times that everyone meets others, for each time that crowd and rhythms say.
    n_threads
        Blocks of strata that are worked on at a time.
    """
    from scipy import special

    n_members = np.bincount(
        fold.visit_stratum, weights=inside[fold.visit_account], minlength=fold.n_strata
    )
    strata = np.flatnonzero((n_members > 0) & (np.diff(fold.stratum_start) > 1))

    def work(block: tuple[int, int]) -> Any:
        sums = np.zeros((3, fold.n_accounts))
        _meet_in_strata(
            strata[slice(*block)], fold.stratum_start, fold.visit_account, fold.visit_start,
            fold.event_slot, fold.calendar.n_slots, fold.calendar.reach, inside, rhythms.share,
            rhythms.pooled, rhythms.bins_per_hour, sums,
        )  # fmt: skip
        return sums

    sums = np.zeros((3, fold.n_accounts))
    for part in map_ahead(fold.block_strata(strata), work, n_threads=n_threads):
        sums += part
    met, mean, variance = sums[0], baseline * sums[1], baseline * sums[2]
    p_value = np.ones(fold.n_accounts)
    some = (met > 0) & (mean > 0) & (variance > 0)
    scale = variance[some] / mean[some]
    p_value[some] = special.gammaincc(mean[some] / scale, met[some] / scale)
    return p_value


@numba.njit(cache=CACHE, nogil=True)
def _mark_reached(start: int, stop: int, event_slot: Any, reach: int, marked: Any) -> None:
    marked[:] = False
    for event in range(start, stop):
        slot = event_slot[event]
        marked[max(slot - reach, 0) : slot + reach + 1] = True


@numba.njit(cache=CACHE, nogil=True)
def _meet_members(stratum: int, stratum_start: Any, visit_account: Any, visit_start: Any,
                  event_slot: Any, n_slots: int, reach: int, inside: Any, share: Any, pooled: Any,
                  width: int, sums: Any) -> None:  # fmt: skip
    """Add what each visitor of a stratum met, the mean and the variance of it."""
    n_hours = share.shape[1]
    counts, expected = np.empty(n_slots), np.empty(n_hours)
    tilt, marked = np.empty(n_slots), np.empty(n_slots, np.bool_)
    present = np.zeros(n_slots)
    count_outsiders(stratum, stratum_start, visit_account, visit_start, event_slot, inside, share,
                    counts, expected)  # fmt: skip
    for visit in range(stratum_start[stratum], stratum_start[stratum + 1]):
        if inside[visit_account[visit]]:
            _mark_reached(visit_start[visit], visit_start[visit + 1], event_slot, reach, marked)
            present += marked
    for visit in range(stratum_start[stratum], stratum_start[stratum + 1]):
        account = visit_account[visit]
        start, stop = visit_start[visit], visit_start[visit + 1]
        outside = 0.0 if inside[account] else 1.0
        for event in range(start, stop):
            counts[event_slot[event]] -= outside
        for hour in range(n_hours):
            expected[hour] -= outside * (stop - start) * share[account, hour]
        tilt_slots(counts, expected, pooled, width, tilt)
        marked[:] = False
        if inside[account]:
            _mark_reached(start, stop, event_slot, reach, marked)
        total, first, second = 0.0, 0.0, 0.0
        for slot in range(n_slots):
            odds = share[account, slot // width] * tilt[slot]
            value = np.log(1.0 + present[slot] - marked[slot])
            total += odds
            first += odds * value
            second += odds * value * value
        first, second = first / total, second / total
        for event in range(start, stop):
            slot = event_slot[event]
            sums[0, account] += np.log(1.0 + present[slot] - marked[slot])
            counts[slot] += outside
        sums[1, account] += (stop - start) * first
        sums[2, account] += (stop - start) * max(second - first * first, 0.0)
        for hour in range(n_hours):
            expected[hour] += outside * (stop - start) * share[account, hour]


@numba.njit(cache=CACHE, nogil=True)
def _meet_in_strata(strata: Any, stratum_start: Any, visit_account: Any, visit_start: Any,
                    event_slot: Any, n_slots: int, reach: int, inside: Any, share: Any,
                    pooled: Any, width: int, sums: Any) -> None:  # fmt: skip
    for stratum in strata:
        _meet_members(stratum, stratum_start, visit_account, visit_start, event_slot, n_slots,
                      reach, inside, share, pooled, width, sums)  # fmt: skip
